package runtime

import "time"

// The kernel wakes the reader of the ring buffer with the first record that
// finds it empty. A reader that takes every record at once therefore costs the
// traced process a wake-up for each: more than all else it pays. Ours takes
// what is there and then looks away for a while. The first record after a
// silence is handled at once, those behind it together; with nothing to read
// the reader sleeps until the kernel wakes it.
type pace struct {
	nap, longest time.Duration
	size         int // bytes of the ring
	timer        *time.Timer
}

const (
	shortestNap = time.Millisecond / 4
	longestNap  = 16 * time.Millisecond
	// fillRate is how fast, at most, we take the ring to be filled while we look
	// away: what decides how short the naps of a small ring are.
	fillRate = 256 << 20 // bytes a second
)

func newPace(ringSize int) *pace {
	p := &pace{size: ringSize}
	p.longest = min(longestNap, time.Duration(ringSize)*time.Second/fillRate)
	p.nap = min(p.longest, time.Millisecond)
	return p
}

// rest looks away, unless stop is closed. A ring too small to leave alone gets
// no rest.
func (p *pace) rest(stop <-chan struct{}) {
	if p.longest < shortestNap {
		return
	}
	if p.timer == nil {
		p.timer = time.NewTimer(p.nap)
	} else {
		p.timer.Reset(p.nap)
	}
	select {
	case <-p.timer.C:
	case <-stop:
		p.timer.Stop()
	}
}

// adapt makes the next rest as long as n bytes having come meanwhile allow: it
// is to end with no more than an eighth of the ring in use.
func (p *pace) adapt(n int) {
	switch {
	case n > p.size/8:
		p.nap = max(p.nap*time.Duration(p.size/8)/time.Duration(n), shortestNap)
	case n < p.size/32:
		p.nap = min(2*p.nap, p.longest)
	}
}
