package falco

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/lang/policy/falco"
	"github.com/gotrace/gotrace/runtime/lazy"
)

//go:noinline
func ofEvent(get func(e *Event) datum) field {
	return func(e *Event, _ *falco.Term) datum { return get(e) }
}

// eventFields are the fields of events.
var eventFields = lazy.Table[map[string]field]{New: func() map[string]field {
	return map[string]field{
		"evt.num":             ofEvent(func(e *Event) datum { return number(int64(e.number)) }),
		"evt.time":            ofEvent(func(e *Event) datum { return text(e.time().Format("15:04:05.000000000")) }),
		"evt.time.s":          ofEvent(func(e *Event) datum { return text(e.time().Format("15:04:05")) }),
		"evt.outputtime":      ofEvent(func(e *Event) datum { return text(e.time().Format("15:04:05.000000000")) }),
		"evt.time.iso8601":    ofEvent(func(e *Event) datum { return text(e.time().UTC().Format("2006-01-02T15:04:05.000000000Z")) }),
		"evt.datetime":        ofEvent(func(e *Event) datum { return text(e.time().Format("2006-01-02 15:04:05.000000000")) }),
		"evt.datetime.s":      ofEvent(func(e *Event) datum { return text(e.time().Format("2006-01-02 15:04:05")) }),
		"evt.rawtime":         ofEvent(func(e *Event) datum { return number(e.time().UnixNano()) }),
		"evt.rawtime.s":       ofEvent(func(e *Event) datum { return number(e.time().Unix()) }),
		"evt.rawtime.ns":      ofEvent(func(e *Event) datum { return number(int64(e.time().Nanosecond())) }),
		"evt.reltime":         ofEvent(func(e *Event) datum { return number(e.int(falco.Time) - e.began) }),
		"evt.reltime.s":       ofEvent(func(e *Event) datum { return number((e.int(falco.Time) - e.began) / 1e9) }),
		"evt.reltime.ns":      ofEvent(func(e *Event) datum { return number((e.int(falco.Time) - e.began) % 1e9) }),
		"evt.deltatime":       ofEvent(func(e *Event) datum { return number(e.int(falco.Time) - e.previous) }),
		"evt.deltatime.s":     ofEvent(func(e *Event) datum { return number((e.int(falco.Time) - e.previous) / 1e9) }),
		"evt.deltatime.ns":    ofEvent(func(e *Event) datum { return number((e.int(falco.Time) - e.previous) % 1e9) }),
		"evt.source":          ofEvent(func(*Event) datum { return text("syscall") }),
		"evt.is_async":        ofEvent(func(*Event) datum { return truth(false) }),
		"evt.hostname":        ofEvent(func(e *Event) datum { return text(e.hostname) }),
		"evt.dir":             ofEvent(func(*Event) datum { return text("<") }),
		"evt.type":            ofEvent(func(e *Event) datum { return text(e.what.Event.Name) }),
		"evt.type.is":         func(e *Event, t *falco.Term) datum { return bit(t.Arg == e.what.Event.Name) },
		"syscall.type":        ofEvent(func(e *Event) datum { return known(e.what.Event.Name, e.what.Event.Syscall != "") }),
		"evt.category":        ofEvent(func(e *Event) datum { return text(e.category()) }),
		"evt.cpu":             ofEvent(func(e *Event) datum { return number(e.int(falco.CPU)) }),
		"evt.args":            ofEvent(func(e *Event) datum { return text(e.allArgs()) }),
		"evt.info":            ofEvent(func(e *Event) datum { return text(e.allArgs()) }),
		"evt.arg":             func(e *Event, t *falco.Term) datum { return e.arg(t.Arg) },
		"evt.rawarg":          func(e *Event, t *falco.Term) datum { return e.rawArg(t.Arg) },
		"evt.buffer":          ofEvent(func(e *Event) datum { return e.rawArg("data") }),
		"evt.buflen":          ofEvent(func(e *Event) datum { return e.buflen(true) }),
		"evt.buflen.in":       ofEvent(func(e *Event) datum { return e.buflen(e.what.Event.Reads) }),
		"evt.buflen.out":      ofEvent(func(e *Event) datum { return e.buflen(e.what.Event.Writes) }),
		"evt.buflen.file":     ofEvent(func(e *Event) datum { return e.buflen(e.onFile()) }),
		"evt.buflen.net":      ofEvent(func(e *Event) datum { return e.buflen(e.onSocket()) }),
		"evt.buflen.file.in":  ofEvent(func(e *Event) datum { return e.buflen(e.onFile() && e.what.Event.Reads) }),
		"evt.buflen.file.out": ofEvent(func(e *Event) datum { return e.buflen(e.onFile() && e.what.Event.Writes) }),
		"evt.buflen.net.in":   ofEvent(func(e *Event) datum { return e.buflen(e.onSocket() && e.what.Event.Reads) }),
		"evt.buflen.net.out":  ofEvent(func(e *Event) datum { return e.buflen(e.onSocket() && e.what.Event.Writes) }),
		"evt.res":             ofEvent(func(e *Event) datum { return text(errorName(e.outcome())) }),
		"evt.rawres":          ofEvent(func(e *Event) datum { return number(e.outcome()) }),
		"evt.failed":          ofEvent(func(e *Event) datum { return truth(e.failed()) }),
		"evt.is_io":           ofEvent(func(e *Event) datum { return truth(e.what.Event.Reads || e.what.Event.Writes) }),
		"evt.is_io_read":      ofEvent(func(e *Event) datum { return truth(e.what.Event.Reads) }),
		"evt.is_io_write":     ofEvent(func(e *Event) datum { return truth(e.what.Event.Writes) }),
		"evt.io_dir": ofEvent(func(e *Event) datum {
			switch {
			case e.what.Event.Reads:
				return text("read")
			case e.what.Event.Writes:
				return text("write")
			}
			return datum{}
		}),
		"evt.is_wait": ofEvent(func(e *Event) datum { return truth(e.what.Event.Waits) }),
		"evt.is_syslog": ofEvent(func(e *Event) datum {
			d := e.descriptor()
			return truth(d != nil && e.what.Event.Writes && strings.HasSuffix(d.unix, "/dev/log"))
		}),
		"evt.count":              ofEvent(func(*Event) datum { return number(1) }),
		"evt.count.exit":         ofEvent(func(*Event) datum { return number(1) }),
		"evt.count.error":        ofEvent(func(e *Event) datum { return bit(e.failed()) }),
		"evt.count.error.file":   ofEvent(func(e *Event) datum { return bit(e.failed() && e.category() == "file") }),
		"evt.count.error.net":    ofEvent(func(e *Event) datum { return bit(e.failed() && e.category() == "net") }),
		"evt.count.error.memory": ofEvent(func(e *Event) datum { return bit(e.failed() && e.category() == "memory") }),
		"evt.count.error.other": ofEvent(func(e *Event) datum {
			c := e.category()
			return bit(e.failed() && c != "file" && c != "net" && c != "memory")
		}),
		"evt.around": func(*Event, *falco.Term) datum { return datum{} },
		"evt.is_open_read": ofEvent(func(e *Event) datum {
			flags, ok := e.openFlags()
			return truth(ok && flags&3 != 1 && flags&3 != 3)
		}),
		"evt.is_open_write": ofEvent(func(e *Event) datum {
			flags, ok := e.openFlags()
			return truth(ok && (flags&3 == 1 || flags&3 == 2))
		}),
		"evt.is_open_create": ofEvent(func(e *Event) datum {
			flags, ok := e.openFlags()
			return truth(ok && e.result() >= 0 && creates(flags))
		}),
		"evt.is_open_exec": ofEvent(func(e *Event) datum {
			flags, ok := e.openFlags()
			mode, _ := e.openMode()
			return truth(ok && creates(flags) && mode&0o111 != 0)
		}),
	}
}}

//go:noinline
func bit(b bool) datum {
	if b {
		return number(1)
	}
	return number(0)
}

const (
	oCreate  = 0x40
	oTmpfile = 0x410000
)

func creates(flags int64) bool { return flags&oCreate != 0 || flags&oTmpfile == oTmpfile }

// openFlags returns the flags of a call that opens a file.
func (e *Event) openFlags() (int64, bool) {
	switch e.what.Event.Name {
	case "open":
		return e.num("a1")
	case "openat", "open_by_handle_at":
		return e.num("a2")
	case "openat2":
		return e.num("how0")
	case "creat":
		return 0x241, true
	}
	return 0, false
}

func (e *Event) openMode() (int64, bool) {
	switch e.what.Event.Name {
	case "open":
		return e.num("a2")
	case "openat":
		return e.num("a3")
	case "openat2":
		return e.num("how1")
	case "creat":
		return e.num("a1")
	}
	return 0, false
}

// outcome returns the result of the call, or the status of a process that ends.
func (e *Event) outcome() int64 { return e.result() }

// failed reports whether the call failed. Results from -4095 on are errors.
func (e *Event) failed() bool { r := e.result(); return r < 0 && r >= -4095 }

// errorName returns the result of a call as evt.res has it.
func errorName(result int64) string {
	if result >= 0 || result < -4095 {
		return "SUCCESS"
	}
	if name := unix.ErrnoName(unix.Errno(-result)); name != "" {
		return name
	}
	return strconv.FormatInt(result, 10)
}

func (e *Event) onFile() bool   { d := e.descriptor(); return d != nil && d.isFile }
func (e *Event) onSocket() bool { d := e.descriptor(); return d != nil && d.isSock }

func (e *Event) buflen(applies bool) datum {
	ev := e.what.Event
	if !applies || !ev.Reads && !ev.Writes || e.result() < 0 {
		return datum{}
	}
	return number(e.result())
}

// category returns the category of the event. For events that move data it depends on the
// descriptor.
func (e *Event) category() string {
	switch c := e.what.Event.Category; c {
	case "io":
		d := e.descriptor()
		switch {
		case d == nil:
			return "other"
		case d.isFile:
			return "file"
		case d.isSock && d.char != "u":
			return "net"
		case d.isSock, d.char == "p":
			return "IPC"
		}
		return "other"
	case "ipc":
		return "IPC"
	default:
		return c
	}
}

// allArgs returns all parameters.
func (e *Event) allArgs() string {
	var parts []string
	for i := range e.what.Event.Params {
		p := &e.what.Event.Params[i]
		raw, shown := e.param(p)
		if raw.kind == missing {
			continue
		}
		s := p.Name + "=" + raw.String()
		if shown.kind != missing && shown.String() != raw.String() {
			s += "(" + shown.String() + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ")
}

// paramOf returns the parameter of a name or a number.
func (e *Event) paramOf(arg string) *falco.Param {
	if p := e.what.Event.Param(arg); p != nil {
		return p
	}
	if n, err := strconv.Atoi(arg); err == nil && n >= 0 && n < len(e.what.Event.Params) {
		return &e.what.Event.Params[n]
	}
	return nil
}

func (e *Event) arg(name string) datum {
	p := e.paramOf(name)
	if p == nil {
		return datum{}
	}
	raw, shown := e.param(p)
	if shown.kind != missing && shown.String() != "" {
		return shown
	}
	if raw.kind == missing {
		return raw
	}
	return text(raw.String())
}

func (e *Event) rawArg(name string) datum {
	p := e.paramOf(name)
	if p == nil {
		return datum{}
	}
	raw, shown := e.param(p)
	if raw.kind != missing {
		n, ok := e.source(p.Src)
		switch {
		case !ok:
		case p.Kind == falco.Flags:
			if own, ok := p.Number(shown.String()); ok {
				n = own
			}
			return hexNumber(n)
		case p.Kind == falco.Hex:
			return hexNumber(n)
		case p.Kind == falco.Oct, p.Kind == falco.Mode:
			return octNumber(n)
		case p.Kind == falco.Enum:
			if own, ok := p.Number(shown.String()); ok {
				n = own
			}
			return number(n)
		}
	}
	return raw
}

// source returns the number from which a parameter is made.
func (e *Event) source(src string) (int64, bool) {
	fixed := map[string]int{
		"tid": falco.TID, "pid": falco.PID, "ppid": falco.Parent, "tty": falco.TTY, "vpgid": falco.VGroup, "pgid": falco.Group,
		"loginuid": falco.LoginUID, "uid": falco.EUID, "gid": falco.EGID, "vtid": falco.VTID, "vpid": falco.VPID,
		"capeff": falco.CapEffective, "capprm": falco.CapPermitted, "capinh": falco.CapInheritable, "ret": falco.Result,
	}
	if i, ok := fixed[src]; ok {
		return e.int(i), true
	}
	switch src {
	case "exeflags":
		return e.exeFlags(), true
	case "exeino":
		return int64(e.proc.File.Inode), true
	case "exectime":
		return int64(e.proc.File.Ctime), true
	case "exemtime":
		return int64(e.proc.File.Mtime), true
	}
	return e.num(src)
}

// param returns a parameter: its plain value, and the text that is shown for it, if any.
func (e *Event) param(p *falco.Param) (raw, shown datum) {
	if p.Src == "" {
		return datum{}, datum{}
	}
	switch p.Kind {
	case falco.String, falco.Path:
		switch p.Src {
		case "exe":
			return text(exe(e.proc)), datum{}
		case "args":
			return text(dotted(e.proc.Args[min(1, len(e.proc.Args)):])), datum{}
		case "comm":
			return text(e.comm()), datum{}
		case "exepath":
			return text(e.proc.Path), datum{}
		case "env":
			return text(dotted(e.proc.Env)), datum{}
		case "cwd":
			return e.cwd(), datum{}
		}
		s, ok := e.text(p.Src)
		if !ok {
			return datum{}, datum{}
		}
		if p.Kind == falco.Path {
			if abs, _ := e.pathOf(p); abs != s && s != "" {
				return text(s), text(abs)
			}
		}
		return text(s), datum{}
	case falco.Data:
		s, ok := e.text(p.Src)
		if !ok {
			return datum{}, datum{}
		}
		return datum{kind: isBytes, s: s}, text(dots(s))
	case falco.Tuple, falco.SockAddr:
		return e.addressParam(p), datum{}
	}
	n, ok := e.source(p.Src)
	if !ok {
		return datum{}, datum{}
	}
	switch p.Kind {
	case falco.FD, falco.Errno, falco.Process, falco.Signal, falco.Dec:
		if p.Src != "ret" {
			n = int64(int32(n))
		}
	}
	return e.shown(p, n)
}

// shown returns a number and the text that is shown for it.
func (e *Event) shown(p *falco.Param, n int64) (raw, shown datum) {
	switch p.Kind {
	case falco.Hex:
		return text(fmt.Sprintf("%X", uint64(n))), datum{}
	case falco.Oct:
		return text(fmt.Sprintf("%#o", uint32(n))), datum{}
	case falco.UID:
		if u := e.names().User(uint32(n)); u != nil {
			return number(int64(int32(n))), text(u.Name)
		}
		return noName(n)
	case falco.GID:
		if g := e.names().Group(uint32(n)); g != "" {
			return number(int64(int32(n))), text(g)
		}
		return noName(n)
	case falco.Errno:
		if n < 0 && n >= -4095 {
			return number(n), text(errorName(n))
		}
		return number(n), datum{}
	case falco.Process:
		if q := e.table.Get(int32(n)); q != nil && n > 0 {
			return number(n), text(q.Comm)
		}
		return number(n), datum{}
	case falco.FD:
		if n == atCwd {
			return number(n), text("AT_FDCWD")
		}
		if n < 0 {
			return number(n), text(errorName(n))
		}
		if dir, _ := e.text("d" + p.Src[1:]); dir != "" {
			return number(n), text("<d>" + dir)
		}
		d := e.descriptor()
		if d != nil && d.name != "" && (p.Src == "ret" || p.Src == "a0" && e.what.Event.Uses) {
			return number(n), text(d.tagged())
		}
		return number(n), datum{}
	case falco.Signal:
		if name := unix.SignalName(unix.Signal(n)); name != "" {
			return number(n), text(name)
		}
		return number(n), datum{}
	case falco.Flags, falco.Mode, falco.Enum:
		name := flagNames(p, n, e)
		if name == "" {
			return number(int64(uint32(n))), datum{}
		}
		if own, ok := p.Number(name); ok {
			n = own
		}
		raw = number(int64(uint32(n)))
		if p.Kind == falco.Mode {
			raw = text(fmt.Sprintf("%#o", n&0o7777))
		}
		return raw, text(name)
	}
	return number(n), datum{}
}

// noName returns what is shown for a user or a group without a name, or for none.
func noName(n int64) (raw, shown datum) {
	if int32(n) == -1 {
		return number(-1), text("<NONE>")
	}
	return number(int64(int32(n))), text("<NA>")
}

// dots replaces each byte that is not a printable character of ASCII by a dot.
func dots(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '.'
		}
	}
	return string(b)
}

// dotted returns texts that each end with a byte 0, as parameters show them.
func dotted(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return dots(strings.Join(list, "\x00") + "\x00")
}

// addressParam returns a parameter that is an address or a connection.
func (e *Event) addressParam(p *falco.Param) datum {
	d := e.descriptor()
	if p.Kind == falco.Tuple {
		if d != nil && d.isSock && d.name != "" {
			return text(d.name)
		}
		return datum{}
	}
	if a, ok := e.sockaddr(p.Src); ok {
		return text(end(a))
	}
	return known(e.unixPath(p.Src))
}
