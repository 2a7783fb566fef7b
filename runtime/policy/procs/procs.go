// Package procs keeps a table of the machine's processes. The script that lang/policy/procs
// writes reports how they start, change and end. Processes that started earlier are read
// from /proc.
//
// A table belongs to one goroutine, that of the sink. Reports arrive in the order of the
// events, so a lookup returns the state at the time of the event.
package procs

import (
	"strings"
	"time"

	"github.com/gotrace/gotrace/lang/policy/procs"
	"github.com/gotrace/gotrace/runtime/value"
)

// Process is a process. IDs are those of the machine, unless the name has a V: those are
// the ones in the process's own namespace. Times are nanoseconds since the machine
// started, except Ctime and Mtime, which are nanoseconds since 1970.
type Process struct {
	PID, Parent                  int32
	Start                        uint64 // when it was created
	ExecTime                     uint64 // when it executed its program; 0: before the table was created, or never
	Comm                         string
	Path                         string   // of the file that it runs; "" for a thread of the kernel
	Given                        string   // the path that was passed to execve(); "" if the table did not see it
	Args                         []string // the words of its command line, with argv[0]
	Env                          []string // nil if it is not reported
	Cwd                          string   // when it executed its program
	UID, GID                     uint32   // effective IDs when it executed its program
	LoginUID                     uint32   // 4294967295: no one has logged in
	TTY                          uint32   // number of the terminal's device; 0: none
	Session, Group               int32
	VPID, VSession, VGroup       int32
	Cgroup                       uint64 // ID in the hierarchy of version 2; 0: not known
	File                         File
	Caps, Permitted, Inheritable uint64               // capabilities, one bit for each
	NamespaceStart               uint64               // when the first process of its PID namespace was created
	Namespaces                   [procs.Spaces]uint32 // numbers of those that it was in when it executed its program; 0: not known
	Ended                        bool                 // it is no longer in the table
	ExitCode                     int32                // its status as returned by wait(), after it has ended
	EndTime                      uint64               // when it ended
	Notes                        map[string]any       // data of the users of the table; copied at fork
	Owner                        *string              // the container that its version 1 cgroups belong to; nil: not known
}

// File is the file that a process runs.
type File struct {
	Inode        uint64
	Mode         uint32 // type and permissions
	UID, GID     uint32 // owner
	Ctime, Mtime uint64
	Memfd        bool // the file exists only in memory
	Upper        bool // in the upper layer of an overlay file system
	Lower        bool // only in a lower layer of one
}

// Table is a table of processes.
type Table struct {
	proc      string // mount point of procfs
	processes map[int32]*Process
	boot      int64 // when the machine started, in nanoseconds since 1970
}

// New returns a table without processes. proc is the mount point of procfs.
func New(proc string) *Table {
	return &Table{proc: proc, processes: map[int32]*Process{}, boot: bootTime()}
}

// Time returns the time of a number of nanoseconds since the machine started.
//
//go:noinline
func (t *Table) Time(ns uint64) time.Time { return time.Unix(0, t.boot+int64(ns)) }

// Kind is what a report is about.
type Kind uint8

const (
	None Kind = iota // not a report about processes
	Fork
	Exec
	Exit
	Name
)

// Add updates the table with a report. It returns the kind of the report and the process,
// or None if v is not a report of the probes in lang/policy/procs.
func (t *Table) Add(v value.Value) (Kind, *Process) {
	tuple, ok := v.(value.Tuple)
	if !ok || len(tuple) < 2 {
		return None, nil
	}
	r := report(tuple)
	switch id := r.int(0); {
	case id == procs.ForkID && len(tuple) == 6:
		return Fork, t.fork(r)
	case id == procs.ExecID && len(tuple) == procs.ExecValues:
		return Exec, t.exec(r)
	case id == procs.ExitID:
		p := t.exit(int32(r.int(1)))
		if p != nil && len(tuple) == 4 {
			p.ExitCode, p.EndTime = int32(r.int(2)), uint64(r.int(3))
		}
		return Exit, p
	case id == procs.NameID && len(tuple) == 3:
		p := t.processes[int32(r.int(1))]
		if p != nil {
			p.Comm = r.text(2)
		}
		return Name, p
	}
	return None, nil
}

func (t *Table) fork(r report) *Process {
	p := &Process{}
	if maker := t.Get(int32(r.int(3))); maker != nil {
		*p = *maker
		p.Notes, p.Owner = nil, nil
		for k, v := range maker.Notes {
			p.Note(k, v)
		}
	}
	p.PID, p.Parent, p.Start, p.VPID = int32(r.int(1)), int32(r.int(2)), uint64(r.int(4)), int32(r.int(5))
	p.Ended = false
	t.processes[p.PID] = p
	return p
}

func (t *Table) exec(r report) *Process {
	p := t.processes[int32(r.int(procs.ExecPID))]
	if p == nil {
		p = &Process{}
	}
	*p = Process{
		PID: int32(r.int(procs.ExecPID)), Parent: int32(r.int(procs.ExecParent)),
		Start: uint64(r.int(procs.ExecStart)), ExecTime: uint64(r.int(procs.ExecTime)),
		Comm: r.text(procs.ExecComm), Path: r.text(procs.ExecPath),
		Args: words(r.text(procs.ExecArgs)), Env: words(r.text(procs.ExecEnv)), Cwd: r.text(procs.ExecCwd),
		UID: uint32(r.int(procs.ExecUID)), GID: uint32(r.int(procs.ExecGID)), LoginUID: uint32(r.int(procs.ExecLogin)),
		TTY: uint32(r.int(procs.ExecTTY)), Session: int32(r.int(procs.ExecSession)), Group: int32(r.int(procs.ExecGroup)),
		VPID: int32(r.int(procs.ExecVPID)), VSession: int32(r.int(procs.ExecVSession)), VGroup: int32(r.int(procs.ExecVGroup)),
		Cgroup: uint64(r.int(procs.ExecCgroup)),
		File: File{
			Inode: uint64(r.int(procs.ExecInode)), Mode: uint32(r.int(procs.ExecMode)),
			UID: uint32(r.int(procs.ExecOwner)), GID: uint32(r.int(procs.ExecOwnGroup)),
			Ctime: uint64(r.int(procs.ExecCtime)), Mtime: uint64(r.int(procs.ExecMtime)),
			Memfd: r.int(procs.ExecMemfd) != 0, Upper: r.int(procs.ExecUpper) != 0,
			Lower: r.int(procs.ExecLower) != 0,
		},
		Caps: uint64(r.int(procs.ExecCaps)), Permitted: uint64(r.int(procs.ExecPermitted)), Inheritable: uint64(r.int(procs.ExecInherit)),
		NamespaceStart: uint64(r.int(procs.ExecPIDStart)), Given: r.text(procs.ExecFile), Notes: p.Notes,
	}
	for i := range p.Namespaces {
		p.Namespaces[i] = uint32(r.int(procs.ExecSpaces + i))
	}
	if p.File.Memfd {
		p.Path = strings.TrimSuffix(strings.TrimPrefix(p.Path, "/"), " (deleted)")
	}
	t.processes[p.PID] = p
	return p
}

// exit removes a process and returns it. Its children get another parent, which is read
// from /proc when it is needed.
func (t *Table) exit(pid int32) *Process {
	p := t.processes[pid]
	if p == nil {
		return nil
	}
	p.Ended = true
	delete(t.processes, pid)
	return p
}

// Note stores data about the process.
//
//go:noinline
func (p *Process) Note(key string, v any) {
	if p.Notes == nil {
		p.Notes = map[string]any{}
	}
	p.Notes[key] = v
}

// Get returns a process, or nil if it does not exist. If the table lacks it, Get reads it
// from /proc.
func (t *Table) Get(pid int32) *Process {
	if pid <= 0 {
		return nil
	}
	p := t.processes[pid]
	if p == nil {
		if p = t.read(pid); p != nil {
			t.processes[pid] = p
		}
	}
	return p
}

// ParentOf returns the parent of a process, or nil.
func (t *Table) ParentOf(p *Process) *Process {
	parent := t.processes[p.Parent]
	if parent == nil || parent.Start > p.Start && parent.PID != 1 {
		// The parent has ended, and the kernel has given the process another one.
		if now, ok := t.parentNow(p); ok {
			p.Parent = now
		}
		parent = t.Get(p.Parent)
	}
	if parent == p {
		return nil
	}
	return parent
}

// Ancestor returns the process n generations above p: 0 is p itself. It returns nil if
// there is none.
func (t *Table) Ancestor(p *Process, n int) *Process {
	for ; n > 0 && p != nil; n-- {
		p = t.ParentOf(p)
	}
	return p
}

// maxDepth is the number of generations after which a search of ancestors ends.
const maxDepth = 256

// Ancestors calls yield with the parent of p, its parent and so on, until yield returns
// false.
func (t *Table) Ancestors(p *Process, yield func(*Process) bool) {
	for i := 0; i < maxDepth; i++ {
		if p = t.ParentOf(p); p == nil || !yield(p) {
			return
		}
	}
}

// report is a report about a process.
type report value.Tuple

// int returns a number, or 0 if the value is not a number.
//
//go:noinline
func (r report) int(i int) int64 {
	n, _ := value.Number(r[i])
	return n
}

// text returns a string, or bytes as a string.
func (r report) text(i int) string { return value.Plain(r[i]) }

// words returns the strings of a text in which each is followed by a NUL.
func words(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")
}

// Put adds a process, or replaces the one with its ID.
func (t *Table) Put(p *Process) { t.processes[p.PID] = p }
