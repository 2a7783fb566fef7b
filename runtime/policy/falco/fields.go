package falco

import (
	"fmt"
	"maps"
	"path"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/falco"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// field returns the value of a field for an event. t has its argument.
type field func(e *Event, t *falco.Term) datum

// fields are all fields that may have a value, by their names.
var fields = lazy.Table[map[string]field]{New: func() map[string]field {
	all := map[string]field{}
	for _, group := range []map[string]field{eventFields.Get(), processFields.Get(), descentFields.Get(), threadFields.Get(), fdFields.Get(), pathFields.Get(), userFields.Get(), containerFields.Get()} {
		maps.Copy(all, group)
	}
	return all
}}

// userFields are the fields of the user and the group.
var userFields = lazy.Table[map[string]field]{New: func() map[string]field {
	return map[string]field{
		"user.uid":      func(e *Event, _ *falco.Term) datum { return number(int64(uint32(e.int(falco.EUID)))) },
		"user.loginuid": func(e *Event, _ *falco.Term) datum { return number(int64(int32(e.int(falco.LoginUID)))) },
		"user.name": func(e *Event, _ *falco.Term) datum {
			if u := e.names().User(uint32(e.int(falco.EUID))); u != nil {
				return text(u.Name)
			}
			return text("<NA>")
		},
		"user.homedir": func(e *Event, _ *falco.Term) datum {
			if u := e.names().User(uint32(e.int(falco.EUID))); u != nil {
				return text(u.Home)
			}
			return text("<NA>")
		},
		"user.shell": func(e *Event, _ *falco.Term) datum {
			if u := e.names().User(uint32(e.int(falco.EUID))); u != nil {
				return text(u.Shell)
			}
			return text("<NA>")
		},
		"user.loginname": func(e *Event, _ *falco.Term) datum {
			id := uint32(e.int(falco.LoginUID))
			if id == ^uint32(0) {
				return text("<NA>")
			}
			if u := e.names().User(id); u != nil {
				return text(u.Name)
			}
			return text("<NA>")
		},
		"group.gid": func(e *Event, _ *falco.Term) datum { return number(int64(uint32(e.int(falco.EGID)))) },
		"group.name": func(e *Event, _ *falco.Term) datum {
			if name := e.names().Group(uint32(e.int(falco.EGID))); name != "" {
				return text(name)
			}
			return text("<NA>")
		},
	}
}}

// ofFD returns a field of the event's descriptor.
//
//go:noinline
func ofFD(get func(e *Event, d *descriptor) datum) field {
	return func(e *Event, _ *falco.Term) datum {
		d := e.descriptor()
		if d == nil {
			return datum{}
		}
		return get(e, d)
	}
}

// port and addr return a part of an end of a connection.
func portOf(d *descriptor, end string) datum {
	a, ok := endOf(d, end)
	if !ok {
		return datum{}
	}
	return number(int64(a.Port()))
}

func addrOf(d *descriptor, end string) datum {
	a, ok := endOf(d, end)
	if !ok {
		return datum{}
	}
	return address(a.Addr())
}

func protoOf(d *descriptor, end string) datum {
	a, ok := endOf(d, end)
	if !ok {
		return datum{}
	}
	return text(serviceName(a.Port(), d.proto))
}

// both returns the values of both ends.
//
//go:noinline
func both(get func(d *descriptor, end string) datum) field {
	return ofFD(func(_ *Event, d *descriptor) datum {
		var out []datum
		for _, end := range []string{"s", "c"} {
			if x := get(d, end); x.kind != missing {
				out = append(out, x)
			}
		}
		if len(out) == 0 {
			return datum{}
		}
		return list(out)
	})
}

//go:noinline
func oneEnd(get func(d *descriptor, end string) datum, end string) field {
	return ofFD(func(_ *Event, d *descriptor) datum { return get(d, end) })
}

// fdFields are the fields of the event's descriptor.
var fdFields = lazy.Table[map[string]field]{New: func() map[string]field {
	all := map[string]field{
		"fd.num": ofFD(func(_ *Event, d *descriptor) datum { return number(d.num) }),
		"fd.type": ofFD(func(_ *Event, d *descriptor) datum {
			return known(d.kind, d.kind != "" && (d.num >= 0 || d.isFile))
		}),
		"fd.typechar":  ofFD(func(_ *Event, d *descriptor) datum { return known(d.char, d.char != "") }),
		"fd.name":      ofFD(func(_ *Event, d *descriptor) datum { return known(d.name, d.name != "" || d.isSock) }),
		"fd.nameraw":   ofFD(func(_ *Event, d *descriptor) datum { return known(d.raw, d.isFile) }),
		"fd.directory": ofFD(func(_ *Event, d *descriptor) datum { return known(d.directory(), d.isFile && d.name != "") }),
		"fd.filename": ofFD(func(_ *Event, d *descriptor) datum {
			if !d.isFile || d.kind == "directory" || d.name == "" || d.num < 0 {
				return datum{}
			}
			if n := strings.LastIndexByte(d.name, '/') + 1; n < len(d.name) {
				return text(d.name[n:])
			}
			return text(d.name)
		}),
		"fd.l4proto": ofFD(func(_ *Event, d *descriptor) datum { return known(d.proto, d.proto != "") }),
		"fd.sockfamily": ofFD(func(_ *Event, d *descriptor) datum {
			switch {
			case !d.isSock:
				return datum{}
			case d.char == "u":
				return text("unix")
			case d.proto != "":
				return text("ip")
			}
			return datum{}
		}),
		"fd.is_server": ofFD(func(_ *Event, d *descriptor) datum {
			if !d.isSock || d.proto == "" {
				return datum{}
			}
			return truth(d.server || d.listens)
		}),
		"fd.uid": ofFD(func(e *Event, d *descriptor) datum {
			return text(fmt.Sprintf("%d%d", e.int(falco.TID), d.num))
		}),
		"fd.connected": ofFD(func(e *Event, d *descriptor) datum {
			if !d.isSock {
				return datum{}
			}
			return truth(d.connected)
		}),
		"fd.name_changed": ofFD(func(e *Event, d *descriptor) datum {
			if !d.isSock {
				return datum{}
			}
			return truth(d.changed || e.what.Event.Name == "connect" || e.what.Event.Name == "accept" || e.what.Event.Name == "accept4")
		}),
		"fd.dev":       ofFD(func(_ *Event, d *descriptor) datum { return hexNumber(int64(userDevice(d.dev))) }),
		"fd.dev.major": ofFD(func(_ *Event, d *descriptor) datum { return number(int64(d.dev >> 20)) }),
		"fd.dev.minor": ofFD(func(_ *Event, d *descriptor) datum { return number(int64(d.dev & 0xfffff)) }),
		"fd.ino":       ofFD(func(_ *Event, d *descriptor) datum { return number(int64(d.ino)) }),
		"fd.containername": ofFD(func(e *Event, d *descriptor) datum {
			return text(e.containerID() + ":" + d.name)
		}),
		"fd.containerdirectory": ofFD(func(e *Event, d *descriptor) datum {
			if !d.isFile {
				return datum{}
			}
			return text(e.containerID() + ":" + d.directory())
		}),
		"fd.is_upper_layer": ofFD(func(e *Event, d *descriptor) datum {
			n, ok := e.num("upper")
			if !ok {
				return datum{}
			}
			return truth(n != 0)
		}),
		"fd.is_lower_layer": ofFD(func(e *Event, d *descriptor) datum {
			upper, ok := e.num("upper")
			if !ok {
				return datum{}
			}
			overlay, _ := e.num("overlay")
			return truth(overlay != 0 && upper == 0)
		}),
		"fd.types": func(e *Event, t *falco.Term) datum { return e.openTypes(t) },
		"fd.ip":    both(addrOf), "fd.net": both(addrOf), "fd.port": both(portOf), "fd.proto": both(protoOf),
	}
	for _, end := range []string{"c", "s", "l", "r"} {
		all["fd."+end+"ip"] = oneEnd(addrOf, end)
		all["fd."+end+"net"] = oneEnd(addrOf, end)
		all["fd."+end+"port"] = oneEnd(portOf, end)
		all["fd."+end+"proto"] = oneEnd(protoOf, end)
		all["fd."+end+"ip.name"] = oneEnd(addrOf, end)
	}
	for _, n := range []string{"nums", "names", "cips", "sips", "cports", "sports"} {
		all["fdlist."+n] = func(*Event, *falco.Term) datum { return datum{} }
	}
	return all
}}

// directory returns the directory of a file. For a directory that was opened, it returns
// the directory itself.
func (d *descriptor) directory() string {
	n := strings.LastIndexByte(d.name, '/')
	switch {
	case d.kind == "directory" && d.num >= 0:
		return d.name
	case n <= 0:
		return "/"
	}
	return d.name[:n]
}

// userDevice returns the number of a device as programs see it.
func userDevice(dev uint64) uint64 {
	major, minor := dev>>20, dev&0xfffff
	return minor&0xff | major<<8 | (minor&^0xff)<<12
}

// pathFields are the fields of the paths that a call is given.
var pathFields = lazy.Table[map[string]field]{New: func() map[string]field {
	return map[string]field{
		"evt.abspath":       func(e *Event, t *falco.Term) datum { return e.abspath(t) },
		"fs.path.name":      func(e *Event, _ *falco.Term) datum { return e.fsPath("name", false) },
		"fs.path.nameraw":   func(e *Event, _ *falco.Term) datum { return e.fsPath("name", true) },
		"fs.path.source":    func(e *Event, _ *falco.Term) datum { return e.fsPath("source", false) },
		"fs.path.sourceraw": func(e *Event, _ *falco.Term) datum { return e.fsPath("source", true) },
		"fs.path.target":    func(e *Event, _ *falco.Term) datum { return e.fsPath("target", false) },
		"fs.path.targetraw": func(e *Event, _ *falco.Term) datum { return e.fsPath("target", true) },
	}
}}

// fsParams are the parameters for the fields fs.path.* of each event: the name, or the
// source and the target.
var fsParams = lazy.Table[map[string][3]string]{New: func() map[string][3]string {
	return map[string][3]string{
		"mkdir": {"path"}, "mkdirat": {"path"}, "rmdir": {"path"}, "unlink": {"path"}, "unlinkat": {"name"},
		"open": {"name"}, "openat": {"name"}, "openat2": {"name"}, "creat": {"name"}, "open_by_handle_at": {"path"},
		"chmod": {"filename"}, "fchmodat": {"filename"}, "fchmodat2": {"filename"}, "chown": {"path"}, "lchown": {"path"}, "fchownat": {"pathname"},
		"quotactl": {""}, "umount": {"name"}, "umount2": {"name"}, "truncate": {"path"}, "mknod": {"path"}, "mknodat": {"path"},
		"rename": {"", "oldpath", "newpath"}, "renameat": {"", "oldpath", "newpath"}, "renameat2": {"", "oldpath", "newpath"},
		"link": {"", "newpath", "oldpath"}, "linkat": {"", "newpath", "oldpath"},
		"symlink": {"", "linkpath", "target"}, "symlinkat": {"", "linkpath", "target"},
		"mount": {"", "dev", "dir"},
	}
}}

// fsPath returns a path that the event is about.
func (e *Event) fsPath(what string, raw bool) datum {
	event := e.what.Event
	names := fsParams.Get()[event.Name]
	name := names[map[string]int{"name": 0, "source": 1, "target": 2}[what]]
	if name == "" {
		if what == "name" && (event.Name == "fchmod" || event.Name == "fchown") {
			if d := e.descriptor(); d != nil && d.isFile {
				return text(d.name)
			}
		}
		return datum{}
	}
	p := event.Param(name)
	if p == nil {
		return datum{}
	}
	return e.pathParam(p, raw)
}

func (e *Event) pathParam(p *falco.Param, raw bool) datum {
	s, ok := e.text(p.Src)
	if !ok {
		return datum{}
	}
	if raw {
		return text(s)
	}
	if p.Kind == falco.Path {
		return known(e.pathOf(p))
	}
	// The text in a symbolic link starts from the directory of the link.
	if strings.HasPrefix(s, "/") {
		return text(path.Clean(s))
	}
	cwd, _ := e.text("cwd")
	return text(absolute(cwd, s))
}

// abspath returns a path of the event: its only path, or the path that the argument
// names.
func (e *Event) abspath(t *falco.Term) datum {
	event := e.what.Event
	name := ""
	switch t.Arg {
	case "src":
		name = map[string]string{"renameat": "oldpath", "renameat2": "oldpath", "linkat": "oldpath", "symlinkat": "target"}[event.Name]
	case "dst":
		name = map[string]string{"renameat": "newpath", "renameat2": "newpath", "linkat": "newpath", "symlinkat": "linkpath"}[event.Name]
	case "":
		for _, p := range event.Params {
			if p.Kind == falco.Path && p.Dir != "" {
				name = p.Name
				break
			}
		}
	}
	if p := event.Param(name); p != nil && name != "" {
		return e.pathParam(p, false)
	}
	return datum{}
}

// serviceName returns the name of a port, or its number.
func serviceName(port uint16, proto string) string {
	if name := services.Get()[strconv.Itoa(int(port))+"/"+proto]; name != "" {
		return name
	}
	return strconv.Itoa(int(port))
}
