package runtime

import "time"

// pace decides how long the reader of the ring buffer sleeps between two reads. The
// kernel wakes the reader when a record arrives and the buffer is empty. If the reader
// took every record at once, each record would cost the traced process a wake-up, which
// is more than all its other costs. So the reader takes the available records and then
// sleeps for a while. The first record after a pause is handled at once, those that
// follow it are handled together. If there is nothing to read, the reader sleeps until
// the kernel wakes it.
type pace struct {
	nap, longest time.Duration
	size         int // of the ring, in bytes
	timer        *time.Timer
}

const (
	shortestNap = time.Millisecond / 4
	longestNap  = 16 * time.Millisecond
	// fillRate is the highest rate at which the ring is assumed to fill during a
	// rest. It limits the rests of a small ring.
	fillRate = 256 << 20 // bytes per second
)

func newPace(ringSize int) *pace {
	p := &pace{size: ringSize}
	p.longest = min(longestNap, time.Duration(ringSize)*time.Second/fillRate)
	p.nap = min(p.longest, time.Millisecond)
	return p
}

// rest sleeps, but returns early if stop is closed. If the ring could fill up during a
// rest, rest returns at once.
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

// adapt sets the length of the next rest from the n bytes that arrived during the
// last one. At the end of the next rest at most an eighth of the ring should be in
// use.
func (p *pace) adapt(n int) {
	switch {
	case n > p.size/8:
		p.nap = max(p.nap*time.Duration(p.size/8)/time.Duration(n), shortestNap)
	case n < p.size/32:
		p.nap = min(2*p.nap, p.longest)
	}
}
