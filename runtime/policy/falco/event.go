package falco

import (
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/gotrace/gotrace/lang/policy/falco"
	"github.com/gotrace/gotrace/runtime/policy/procs"
	"github.com/gotrace/gotrace/runtime/value"
)

// Event is an event, with the state of the table of processes when it happened. Computed
// values are kept until the next event.
type Event struct {
	*engine
	what   *falco.Watched
	values value.Tuple
	number uint64
	proc   *procs.Process

	file  *descriptor
	paths map[string]string
}

// int returns a value of the report that is a number.
//
//go:noinline
func (e *Event) int(i int) int64 {
	if i >= len(e.values) {
		return 0
	}
	n, _ := value.Number(e.values[i])
	return n
}

// num returns a value by its name, if the report has it.
//
//go:noinline
func (e *Event) num(name string) (int64, bool) {
	i, ok := e.what.Index[name]
	if !ok {
		return 0, false
	}
	return e.int(i), true
}

// text returns a value by its name, if the report has it.
//
//go:noinline
func (e *Event) text(name string) (string, bool) {
	i, ok := e.what.Index[name]
	if !ok || i >= len(e.values) {
		return "", false
	}
	if e.what.Event.IsExec() && e.result() >= 0 && name == e.what.Event.Path().Src {
		return e.givenPath(), true
	}
	switch v := e.values[i].(type) {
	case value.Str:
		return v.S, true
	case value.Bytes:
		return string(v), true
	}
	return "", false
}

// givenPath returns the path that was passed to the call that executed the program. The
// memory of the caller no longer exists, so the kernel's path is used. If the call had an
// open directory, this is a path below /dev/fd.
func (e *Event) givenPath() string {
	path := e.proc.Given
	fd, at := e.num("a0")
	if at && e.what.Event.Path().Dir != "" && int32(fd) != atCwd {
		if rest, ok := strings.CutPrefix(path, "/dev/fd/"); ok {
			_, path, _ = strings.Cut(rest, "/")
		}
	}
	return path
}

//go:noinline
func (e *Event) result() int64 { return e.int(falco.Result) }

// time returns when the event happened.
func (e *Event) time() time.Time { return e.table.Time(uint64(e.int(falco.Time))) }

// pathOf returns a parameter that is a path, made absolute. It removes "." and ".." from
// the text and does not follow links.
func (e *Event) pathOf(p *falco.Param) (string, bool) {
	raw, ok := e.text(p.Src)
	if !ok {
		return "", false
	}
	if p.Src == "fdpath" {
		return raw, true
	}
	if abs, ok := e.paths[p.Src]; ok {
		return abs, true
	}
	base := ""
	if !strings.HasPrefix(raw, "/") {
		base, _ = e.text("cwd")
		if p.Dir != "" {
			if fd, _ := e.num(p.Dir); int32(fd) != atCwd {
				base, _ = e.text("d" + p.Dir[1:])
			}
		}
	}
	abs := absolute(base, raw)
	if e.paths == nil {
		e.paths = map[string]string{}
	}
	e.paths[p.Src] = abs
	return abs, true
}

// atCwd stands for the current directory, AT_FDCWD.
const atCwd = -100

// absolute returns a path that starts from a directory.
func absolute(base, name string) string {
	switch {
	case name == "":
		return ""
	case strings.HasPrefix(name, "/"):
		return path.Clean(name)
	case base == "":
		return name
	}
	return path.Clean(base + "/" + name)
}

// descriptor is what is known about the descriptor of an event.
type descriptor struct {
	num            int64
	kind           string // as fd.type has it
	char           string // as fd.typechar has it
	name, raw      string
	isFile, isSock bool
	dev, ino       uint64

	v6             bool
	proto          string
	local, remote  netip.AddrPort
	server         bool // the process has accepted the connection
	listens        bool
	connected      bool
	changed        bool
	hasTuple       bool
	unix           string
	protocolNumber int
}

// client and serverEnd return the ends of a connection.
func (d *descriptor) client() (netip.AddrPort, bool) {
	if d.listens {
		return netip.AddrPort{}, false
	}
	if d.server {
		return d.remote, d.hasTuple
	}
	return d.local, d.hasTuple
}

func (d *descriptor) serverEnd() (netip.AddrPort, bool) {
	if d.server || d.listens {
		return d.local, d.hasTuple || d.listens
	}
	return d.remote, d.hasTuple
}

const (
	modeType   = 0xf000
	modeFile   = 0x8000
	modeDir    = 0x4000
	modePipe   = 0x1000
	modeSocket = 0xc000
	modeChar   = 0x2000
	modeBlock  = 0x6000
)

// open returns the descriptor of an event that opens a file by a path. It exists even if
// the call failed.
func (e *Event) open(d *descriptor) {
	d.isFile, d.kind, d.char = true, "file", "f"
	if flags, ok := e.openFlags(); ok && flags&oDirectory != 0 {
		d.kind, d.char = "directory", "d"
	}
	for i := range e.what.Event.Params {
		if p := &e.what.Event.Params[i]; p.Kind == falco.Path {
			d.name, _ = e.pathOf(p)
			d.raw, _ = e.text(p.Src)
		}
	}
	if e.result() >= 0 {
		dev, _ := e.num("dev")
		ino, _ := e.num("ino")
		d.dev, d.ino = uint64(dev), uint64(ino)
	} else {
		d.num = -1
	}
}

const (
	oDirectory = 0x10000
	badFD      = -9
)

// descriptor returns the descriptor of the event, or nil.
func (e *Event) descriptor() *descriptor {
	if e.file != nil {
		return e.file
	}
	what := e.what.Event
	d := &descriptor{num: e.result()}
	switch {
	case what.IsOpen():
		e.open(d)
		e.file = d
		return d
	case what.Creates:
		if d.num < 0 {
			d.num = -1
			d.kind, d.char = failedKind(what.Name)
			e.file = d
			return d
		}
	case what.Uses:
		n, ok := e.num("a0")
		if !ok {
			return nil
		}
		if d.num = int64(int32(n)); d.num < 0 || e.result() == badFD {
			return nil
		}
		if what.Name == "dup" || what.Name == "dup2" || what.Name == "dup3" {
			if r := e.result(); r >= 0 {
				d.num = r
			}
		}
	default:
		return nil
	}
	e.file = d
	mode, ok := e.num("mode")
	if !ok {
		return d
	}
	dev, _ := e.num("dev")
	ino, _ := e.num("ino")
	d.dev, d.ino = uint64(dev), uint64(ino)
	d.name, _ = e.text("fdpath")
	switch mode & modeType {
	case 0:
		if mode == 0 && d.name == "" { // the descriptor is closed, or was never open
			return d
		}
		d.kind, d.char = anonymous(d.name)
	case modeSocket:
		e.socket(d)
	case modeFile:
		d.kind, d.char, d.isFile = "file", "f", true
		if strings.HasPrefix(d.name, "/memfd:") {
			d.kind, d.char = "memfd", "m"
			d.name = strings.TrimSuffix(d.name[1:], " (deleted)")
		}
	case modeDir:
		d.kind, d.char, d.isFile = "directory", "d", true
	case modePipe:
		d.kind, d.char = "pipe", "p"
	case modeChar, modeBlock:
		d.kind, d.char, d.isFile = "file", "f", true
	default:
		d.kind, d.char = anonymous(d.name)
	}
	d.raw = d.name
	return d
}

// tagged returns the name with the type of the descriptor, and the protocol of a connection.
func (d *descriptor) tagged() string {
	tag := d.char
	if d.isSock && d.proto != "" {
		tag += d.proto[:1]
	}
	return "<" + tag + ">" + d.name
}

// failedKind returns the kind that the descriptor would have if the call had not failed.
func failedKind(event string) (kind, char string) {
	switch event {
	case "socket", "accept", "accept4":
		return "", "4"
	case "eventfd", "eventfd2":
		return "", "e"
	case "signalfd", "signalfd4":
		return "", "s"
	case "timerfd_create":
		return "", "t"
	case "inotify_init", "inotify_init1":
		return "", "i"
	}
	return "", "o"
}

// anonymous returns the kind of a descriptor that is not a file, by the kernel's name for
// it.
func anonymous(name string) (kind, char string) {
	for _, k := range [][3]string{
		{"[eventfd", "event", "e"}, {"[eventpoll", "eventpoll", "l"}, {"inotify", "inotify", "i"}, {"[signalfd", "signalfd", "s"},
		{"[timerfd", "timerfd", "t"}, {"bpf", "bpf", "b"}, {"[userfaultfd", "userfaultfd", "u"}, {"[io_uring", "io_uring", "r"}, {"[pidfd", "pidfd", "P"},
	} {
		if strings.Contains(name, k[0]) {
			return k[1], k[2]
		}
	}
	return "unknown", "o"
}
