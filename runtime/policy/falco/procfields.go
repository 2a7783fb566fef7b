package falco

import (
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/falco"
	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/policy/procs"
	"github.com/gotrace/gotrace/runtime/value"
)

// exe returns the first word of a process's command line.
func exe(p *procs.Process) string {
	if len(p.Args) == 0 {
		return ""
	}
	return p.Args[0]
}

// args returns the command line of a process without its first word.
//
//go:noinline
func args(p *procs.Process) string {
	if len(p.Args) < 2 {
		return ""
	}
	return strings.Join(p.Args[1:], " ")
}

// line returns a name with the command line after it.
func line(name string, p *procs.Process) string {
	if a := args(p); a != "" {
		return name + " " + a
	}
	return name
}

// comm returns the name of the thread.
//
//go:noinline
func (e *Event) comm() string { return value.Plain(e.values[falco.Comm]) }

// cwd returns the current directory, with a slash at its end.
func (e *Event) cwd() datum {
	dir, ok := e.text("cwd")
	if !ok {
		return datum{}
	}
	if !strings.HasSuffix(dir, "/") {
		dir += "/"
	}
	return text(dir)
}

// self returns a field of the process.
//
//go:noinline
func self(get func(e *Event, p *procs.Process) datum) field {
	return func(e *Event, _ *falco.Term) datum { return get(e, e.proc) }
}

// parent returns a field of the parent.
//
//go:noinline
func parent(get func(p *procs.Process) datum) field {
	return func(e *Event, _ *falco.Term) datum {
		if p := e.table.ParentOf(e.proc); p != nil {
			return get(p)
		}
		return datum{}
	}
}

// ancestor returns a field of an ancestor, or of all ancestors. For 0, the process
// itself, it calls own.
//
//go:noinline
func ancestor(get func(p *procs.Process) datum, own func(e *Event) datum) field {
	return func(e *Event, t *falco.Term) datum {
		if t.HasArg {
			n, _ := strconv.Atoi(t.Arg) // already checked
			if n == 0 {
				return own(e)
			}
			if p := e.table.Ancestor(e.proc, n); p != nil {
				return get(p)
			}
			return datum{}
		}
		var all []datum
		e.table.Ancestors(e.proc, func(p *procs.Process) bool {
			all = append(all, get(p))
			return true
		})
		return list(all)
	}
}

// leader returns a field of the process that leads a session or a group: the one with the
// number, or the oldest ancestor in it.
//
//go:noinline
func leader(id func(*procs.Process) int32, get func(p *procs.Process) datum) field {
	return func(e *Event, _ *falco.Term) datum {
		n := id(e.proc)
		if p := e.table.Get(n); p != nil && id(p) == n {
			return get(p)
		}
		oldest := e.proc
		e.table.Ancestors(e.proc, func(p *procs.Process) bool {
			if id(p) != n {
				return false
			}
			oldest = p
			return true
		})
		return get(oldest)
	}
}

func session(p *procs.Process) int32 { return p.Session }
func group(p *procs.Process) int32   { return p.Group }

func nameOf(p *procs.Process) datum { return text(p.Comm) }
func exeOf(p *procs.Process) datum  { return text(exe(p)) }
func pathOf(p *procs.Process) datum { return text(p.Path) }
func argsOf(p *procs.Process) datum { return text(args(p)) }
func lineOf(p *procs.Process) datum { return text(line(p.Comm, p)) }
func pidOf(p *procs.Process) datum  { return number(int64(p.PID)) }

// wall returns a time since boot as nanoseconds since 1970.
func (e *Event) wall(ns uint64) datum { return number(e.table.Time(ns).UnixNano()) }

// processFields are the fields of the programs and command lines of the process and its
// ancestors.
var processFields = lazy.Table[map[string]field]{New: func() map[string]field {
	return map[string]field{
		"proc.exe":      self(func(_ *Event, p *procs.Process) datum { return exeOf(p) }),
		"proc.pexe":     parent(exeOf),
		"proc.aexe":     ancestor(exeOf, func(e *Event) datum { return exeOf(e.proc) }),
		"proc.exepath":  self(func(_ *Event, p *procs.Process) datum { return pathOf(p) }),
		"proc.pexepath": parent(pathOf),
		"proc.aexepath": ancestor(pathOf, func(e *Event) datum { return pathOf(e.proc) }),
		"proc.name":     ofEvent(func(e *Event) datum { return text(e.comm()) }),
		"proc.pname":    parent(nameOf),
		"proc.aname":    ancestor(nameOf, func(e *Event) datum { return text(e.comm()) }),
		"proc.args":     self(func(_ *Event, p *procs.Process) datum { return argsOf(p) }),
		"proc.aargs":    ancestor(argsOf, func(e *Event) datum { return argsOf(e.proc) }),
		"proc.cmdline":  self(func(e *Event, p *procs.Process) datum { return text(line(e.comm(), p)) }),
		"proc.pcmdline": parent(lineOf),
		"proc.acmdline": ancestor(lineOf, func(e *Event) datum { return text(line(e.comm(), e.proc)) }),
		"proc.cmdnargs": self(func(_ *Event, p *procs.Process) datum { return number(int64(max(len(p.Args)-1, 0))) }),
		"proc.cmdlenargs": self(func(_ *Event, p *procs.Process) datum {
			n := 0
			for i, a := range p.Args {
				if i > 0 {
					n += len(a)
				}
			}
			return number(int64(n))
		}),
		"proc.exeline": self(func(_ *Event, p *procs.Process) datum { return text(exe(p) + " " + args(p)) }),
		"proc.env":     func(e *Event, t *falco.Term) datum { return envOf(e.proc, t) },
		"proc.aenv":    ancestorEnv,
		"proc.cwd":     ofEvent((*Event).cwd),
		"proc.loginshellid": func(e *Event, _ *falco.Term) datum {
			var found datum
			look := func(p *procs.Process, comm string) {
				if strings.HasSuffix(comm, "sh") {
					found = pidOf(p)
				}
			}
			look(e.proc, e.comm())
			e.table.Ancestors(e.proc, func(p *procs.Process) bool { look(p, p.Comm); return true })
			return found
		},
	}
}}

// descentFields are the fields about the process's parents, groups and sessions, its
// times and its file.
var descentFields = lazy.Table[map[string]field]{New: func() map[string]field {
	return map[string]field{
		"proc.tty":             ofEvent(func(e *Event) datum { return number(int64(userDevice(uint64(e.int(falco.TTY))))) }),
		"proc.pid":             ofEvent(func(e *Event) datum { return number(e.int(falco.PID)) }),
		"proc.ppid":            ofEvent(func(e *Event) datum { return number(e.int(falco.Parent)) }),
		"proc.apid":            ancestor(pidOf, func(e *Event) datum { return number(e.int(falco.PID)) }),
		"proc.vpid":            ofEvent(func(e *Event) datum { return number(e.int(falco.VPID)) }),
		"proc.pvpid":           parent(func(p *procs.Process) datum { return number(int64(p.VPID)) }),
		"proc.sid":             ofEvent(func(e *Event) datum { return number(e.int(falco.VSession)) }),
		"proc.sname":           leader(session, nameOf),
		"proc.sid.exe":         leader(session, exeOf),
		"proc.sid.exepath":     leader(session, pathOf),
		"proc.vpgid":           ofEvent(func(e *Event) datum { return number(e.int(falco.VGroup)) }),
		"proc.vpgid.name":      leader(group, nameOf),
		"proc.vpgid.exe":       leader(group, exeOf),
		"proc.vpgid.exepath":   leader(group, pathOf),
		"proc.pgid":            ofEvent(func(e *Event) datum { return number(e.int(falco.Group)) }),
		"proc.pgid.name":       leader(group, nameOf),
		"proc.pgid.exe":        leader(group, exeOf),
		"proc.pgid.exepath":    leader(group, pathOf),
		"proc.is_pgid_leader":  ofEvent(func(e *Event) datum { return truth(e.int(falco.Group) == e.int(falco.PID)) }),
		"proc.is_sid_leader":   ofEvent(func(e *Event) datum { return truth(e.int(falco.VSession) == e.int(falco.VPID)) }),
		"proc.is_vpgid_leader": ofEvent(func(e *Event) datum { return truth(e.int(falco.VGroup) == e.int(falco.VPID)) }),
		"proc.duration":        self(func(e *Event, p *procs.Process) datum { return number(e.int(falco.Time) - int64(p.Start)) }),
		"proc.ppid.duration": func(e *Event, _ *falco.Term) datum {
			if p := e.table.ParentOf(e.proc); p != nil {
				return number(e.int(falco.Time) - int64(p.Start))
			}
			return datum{}
		},
		"proc.pid.ts": self(func(e *Event, p *procs.Process) datum { return e.wall(p.Start) }),
		"proc.ppid.ts": func(e *Event, _ *falco.Term) datum {
			if p := e.table.ParentOf(e.proc); p != nil {
				return e.wall(p.Start)
			}
			return datum{}
		},
		"proc.is_exe_writable":    ofEvent(func(e *Event) datum { return truth(e.exeFlags()&exeWritable != 0) }),
		"proc.is_exe_upper_layer": self(func(_ *Event, p *procs.Process) datum { return truth(p.File.Upper) }),
		"proc.is_exe_lower_layer": ofEvent(func(e *Event) datum { return truth(e.exeFlags()&exeLower != 0) }),
		"proc.is_exe_from_memfd":  self(func(_ *Event, p *procs.Process) datum { return truth(p.File.Memfd) }),
		"proc.exe_ino":            self(func(_ *Event, p *procs.Process) datum { return positive(int64(p.File.Inode)) }),
		"proc.exe_ino.ctime":      self(func(_ *Event, p *procs.Process) datum { return positive(int64(p.File.Ctime)) }),
		"proc.exe_ino.mtime":      self(func(_ *Event, p *procs.Process) datum { return positive(int64(p.File.Mtime)) }),
		"proc.exe_ino.ctime_duration_proc_start": self(func(e *Event, p *procs.Process) datum {
			start := e.wall(p.Start).n
			if p.File.Ctime == 0 || int64(p.File.Ctime) > start {
				return datum{}
			}
			return number(start - int64(p.File.Ctime))
		}),
		"proc.exe_ino.ctime_duration_pidns_start": self(func(e *Event, p *procs.Process) datum {
			if p.NamespaceStart == 0 {
				return datum{}
			}
			start := e.wall(p.NamespaceStart).n
			if int64(p.File.Ctime) < start {
				return datum{}
			}
			return number(int64(p.File.Ctime) - start)
		}),
		"proc.pidns_init_start_ts": self(func(e *Event, p *procs.Process) datum {
			if p.NamespaceStart == 0 {
				return datum{}
			}
			return e.wall(p.NamespaceStart)
		}),
	}
}}

// threadFields are the fields of the thread, and of the state of the process at the time
// of the event.
var threadFields = lazy.Table[map[string]field]{New: func() map[string]field {
	return map[string]field{
		"thread.cap_permitted":              ofEvent(func(e *Event) datum { return text(capabilities(uint64(e.int(falco.CapPermitted)))) }),
		"thread.cap_inheritable":            ofEvent(func(e *Event) datum { return text(capabilities(uint64(e.int(falco.CapInheritable)))) }),
		"thread.cap_effective":              ofEvent(func(e *Event) datum { return text(capabilities(uint64(e.int(falco.CapEffective)))) }),
		"proc.is_container_healthcheck":     ofEvent(func(*Event) datum { return truth(false) }),
		"proc.is_container_liveness_probe":  ofEvent(func(*Event) datum { return truth(false) }),
		"proc.is_container_readiness_probe": ofEvent(func(*Event) datum { return truth(false) }),
		"proc.fdopencount":                  ofEvent(func(e *Event) datum { return number(int64(len(e.openFDs()))) }),
		"proc.fdlimit": ofEvent(func(e *Event) datum {
			if n, ok := e.num("fdlimit"); ok {
				return number(n)
			}
			return datum{}
		}),
		"proc.fdusage": ofEvent(func(e *Event) datum {
			n, ok := e.num("fdlimit")
			if !ok || n <= 0 {
				return datum{}
			}
			return decimal(float64(len(e.openFDs())) * 100 / float64(n))
		}),
		"proc.vmsize":     ofEvent(func(e *Event) datum { return e.memory("VmSize:") }),
		"proc.vmrss":      ofEvent(func(e *Event) datum { return e.memory("VmRSS:") }),
		"proc.vmswap":     ofEvent(func(e *Event) datum { return e.memory("VmSwap:") }),
		"thread.vmsize":   ofEvent(func(e *Event) datum { return e.threadMemory("VmSize:", 1) }),
		"thread.vmrss":    ofEvent(func(e *Event) datum { return e.threadMemory("VmRSS:", 1) }),
		"thread.vmsize.b": ofEvent(func(e *Event) datum { return e.threadMemory("VmSize:", 1024) }),
		"thread.vmrss.b":  ofEvent(func(e *Event) datum { return e.threadMemory("VmRSS:", 1024) }),
		"thread.pfmajor":  ofEvent(func(e *Event) datum { return e.numberOf("majflt") }),
		"thread.pfminor":  ofEvent(func(e *Event) datum { return e.numberOf("minflt") }),
		"proc.nthreads":   ofEvent(func(e *Event) datum { return e.numberOf("threads") }),
		"proc.nchilds": ofEvent(func(e *Event) datum {
			d := e.numberOf("threads")
			d.n = max(d.n-1, 0)
			return d
		}),
		"thread.tid":    ofEvent(func(e *Event) datum { return number(e.int(falco.TID)) }),
		"thread.ismain": ofEvent(func(e *Event) datum { return truth(e.int(falco.TID) == e.int(falco.PID)) }),
		"thread.vtid":   ofEvent(func(e *Event) datum { return number(e.int(falco.VTID)) }),
		"thread.nametid": ofEvent(func(e *Event) datum {
			return text(e.comm() + strconv.FormatInt(e.int(falco.TID), 10))
		}),
		"thread.cgroups": ofEvent(func(e *Event) datum { return known(strings.Join(e.cgroups(), " "), len(e.cgroups()) > 0) }),
		"thread.cgroup": func(e *Event, t *falco.Term) datum {
			for _, line := range e.cgroups() {
				if name, path, ok := strings.Cut(line, "="); ok && name == t.Arg {
					return text(path)
				}
			}
			return datum{}
		},
		"proc.stdin.type":  func(e *Event, _ *falco.Term) datum { return e.openFD(0, true) },
		"proc.stdout.type": func(e *Event, _ *falco.Term) datum { return e.openFD(1, true) },
		"proc.stderr.type": func(e *Event, _ *falco.Term) datum { return e.openFD(2, true) },
		"proc.stdin.name":  func(e *Event, _ *falco.Term) datum { return e.openFD(0, false) },
		"proc.stdout.name": func(e *Event, _ *falco.Term) datum { return e.openFD(1, false) },
		"proc.stderr.name": func(e *Event, _ *falco.Term) datum { return e.openFD(2, false) },
	}
}}

func (e *Event) numberOf(name string) datum {
	n, ok := e.num(name)
	if !ok {
		return datum{}
	}
	return number(n)
}

// positive returns a number that is more than 0. 0 stands for none.
//
//go:noinline
func positive(n int64) datum {
	if n <= 0 {
		return datum{}
	}
	return number(n)
}

// envOf returns the environment of a process, or one variable. A variable that does not
// exist is empty.
func envOf(p *procs.Process, t *falco.Term) datum {
	if !t.HasArg {
		return text(strings.Join(p.Env, " "))
	}
	for _, v := range p.Env {
		if value, ok := strings.CutPrefix(v, t.Arg+"="); ok {
			return text(value)
		}
	}
	return text("")
}

// ancestorEnv returns the environment of an ancestor by its number, or the value of a
// variable in the nearest ancestor that has it.
func ancestorEnv(e *Event, t *falco.Term) datum {
	whole := &falco.Term{}
	if n, err := strconv.ParseUint(t.Arg, 10, 16); err == nil {
		if p := e.table.Ancestor(e.proc, int(n)); p != nil {
			return envOf(p, whole)
		}
		return datum{}
	}
	var all []datum
	found := text("")
	depth := 0
	e.table.Ancestors(e.proc, func(p *procs.Process) bool {
		if depth++; depth > 20 {
			return false
		}
		if t.HasArg {
			found = envOf(p, t)
			return found.s == ""
		}
		all = append(all, envOf(p, whole))
		return true
	})
	if t.HasArg {
		return found
	}
	return list(all)
}

const (
	capDACOverride = 1
	capFowner      = 3
)

// exeFlags returns the flags of the file that the process runs.
func (e *Event) exeFlags() (flags int64) {
	p, f := e.proc, &e.proc.File
	uid, gid := uint32(e.int(falco.EUID)), uint32(e.int(falco.EGID))
	caps := uint64(e.int(falco.CapEffective))
	writable := f.Mode&0o002 != 0
	switch {
	case f.Mode == 0:
	case caps&(1<<capDACOverride|1<<capFowner) != 0:
		writable = true
	case uid == f.UID:
		writable = f.Mode&0o200 != 0
	case gid == f.GID:
		writable = f.Mode&0o020 != 0
	}
	for _, b := range []struct {
		is   bool
		flag int64
	}{{writable && p.Path != "", exeWritable}, {f.Upper, exeUpper}, {f.Memfd, exeMemfd}, {f.Lower, exeLower}} {
		if b.is {
			flags |= b.flag
		}
	}
	return flags
}
