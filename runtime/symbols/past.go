package symbols

import (
	"os"
	"strconv"
)

// past holds the processes that have ended, in order of their end, as long as there is
// room for them.
type past struct {
	lives   []ended
	size    int    // sum of their sizes
	dropped bitset // IDs of processes that are no longer kept
	missed  int    // number of them that were looked up
}

// ended is one of the processes that have had an ID.
type ended struct {
	p    *process
	life int
	size int
}

const (
	// MaxEnded is the number of ended processes that are kept.
	MaxEnded = 32 << 10
	// maxPastSize is the sum of their sizes. A mapping takes about 50 bytes.
	maxPastSize = 16 * MaxEnded
	// maxPID is the greatest number of processes that Linux allows, on 64 bits.
	maxPID = 4 << 20
)

// Ended records the end of a process. User keeps the process until MaxEnded others have
// ended, or fewer if they had many mappings.
func (u *User) Ended(pid int) {
	p := u.procs[pid]
	if p == nil || p.ended {
		return
	}
	p.ended, p.held = true, p.size()
	u.past.lives = append(u.past.lives, ended{p, p.life, p.held})
	u.past.size += p.held
	u.trim()
}

// recount updates the size of a process after a lookup. If it has ended, the size may have
// grown.
func (u *User) recount(p *process) {
	if !p.ended || p.size() == p.held {
		return
	}
	for i := range u.past.lives {
		if e := &u.past.lives[i]; e.p == p && e.life == p.life {
			p.held = p.size()
			u.past.size += p.held - e.size
			e.size = p.held
		}
	}
	u.trim()
}

// trim drops the processes that ended first until there is room for the others. It keeps
// the one that ended last.
func (u *User) trim() {
	h := &u.past
	for len(h.lives) > MaxEnded || h.size > maxPastSize && len(h.lives) > 1 {
		old := h.lives[0]
		h.lives[0] = ended{} // so that it can be collected
		h.lives = h.lives[1:]
		h.size -= old.size
		if !old.p.drop(old.life) {
			delete(u.procs, old.p.pid)
		}
		h.dropped.set(old.p.pid, true)
	}
}

// miss records that addresses of a process were looked up and none of them is known.
func (h *past) miss(pid int) {
	if h.dropped.has(pid) {
		h.dropped.set(pid, false)
		h.missed++
	}
}

// Forgotten returns the number of processes that were looked up after their mappings
// had been dropped.
func (u *User) Forgotten() int { return u.past.missed }

// sweep finds processes whose end was not reported.
func (u *User) sweep() {
	running, err := Running(u.opt.ProcRoot)
	u.fresh = minSweep + len(running)
	if err != nil {
		return
	}
	for pid := range u.procs {
		if !running[pid] {
			u.Ended(pid)
		}
	}
}

// Running returns the IDs of the processes that there are now.
func Running(proc string) (map[int]bool, error) {
	dir, err := os.Open(proc)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	running := map[int]bool{}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			running[pid] = true
		}
	}
	return running, nil
}

// minSweep is the number of new processes for which sweep is worth its time.
const minSweep = 8 << 10

// bitset is a set of process IDs.
type bitset []uint64

func (b bitset) has(n int) bool {
	return n>>6 < len(b) && b[n>>6]>>(n&63)&1 != 0
}

// set adds n or removes it. Numbers that are no process IDs are not added.
func (b *bitset) set(n int, in bool) {
	if n < 0 || n >= maxPID {
		return
	}
	for n>>6 >= len(*b) {
		*b = append(*b, 0)
	}
	if (*b)[n>>6] &^= 1 << (n & 63); in {
		(*b)[n>>6] |= 1 << (n & 63)
	}
}
