package symbols

import (
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/probes/binary"
)

// GoValue returns the text of a value of a Go program. One of the files that the process
// maps contains the description of the value's type.
func (u *User) GoValue(pid int, v binary.GoValue) string {
	u.lookups++
	if pid > 0 {
		if u.opt.Cache == NoCache {
			u.Know(pid)
		}
		text, ok := u.goValueIn(pid, v)
		if p := u.procs[pid]; !ok && (p == nil || p.old()) {
			u.Know(pid)
			text, ok = u.goValueIn(pid, v)
		}
		if ok {
			return text
		}
	}
	return "type 0x" + strconv.FormatUint(v.Type, 16)
}

// goValueIn returns the text of a value in one of the programs that a process has
// executed.
func (u *User) goValueIn(pid int, v binary.GoValue) (string, bool) {
	for _, c := range u.candidates(pid) {
		for i := range c.im.maps {
			if text, ok := u.goValue(c.p, &c.im.maps[i], v); ok {
				return text, true
			}
		}
	}
	return "", false
}

// goValue returns the text of a value. ok is false if the file of a mapping does not describe
// its type.
func (u *User) goValue(p *process, m *mapping, v binary.GoValue) (text string, ok bool) {
	if !m.named() {
		return "", false
	}
	f := u.fileOf(p, m)
	if f.x == nil {
		return "", false
	}
	start, ok := f.x.Addr(m.offset)
	if !ok {
		return "", false
	}
	v.Type -= m.start - start
	f.guard(func() {
		text, ok = f.x.GoText(&v)
		text = strings.Clone(text) // the file may be closed
	})
	return text, ok
}
