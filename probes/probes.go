// Package probes defines the kinds of probes: the syntax of their attach points, the
// locations on a system that they match, the data that a program can read there, and
// how it is attached. Each kind has a file with one Kind value. Kinds lists them all.
//
// Facts about the kernel come from a Kernel: the running one or a frozen one
// (package probes/kernel).
package probes

import (
	"cmp"
	"io"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/object"
)

// Kind describes a kind of probe.
type Kind struct {
	Name    string
	Aliases []string
	// Caps are the capabilities that the kind needs besides those that all programs need.
	Caps []Capability
	// Parse checks the parts of an attach point (parts[0] is the provider). It
	// returns the point that they describe, which is not expanded yet.
	Parse func(e *Env, parts []string) (*Point, error)
	// Context describes a program at p. It may read BTF, tracefs or an ELF file, so
	// it is called only for points that are used.
	Context func(e *Env, p *Point) (*Context, error)

	Finder
	Attacher
	Traits
	Manual
}

// Finder has the functions that find attach points on the system, and those that help if
// one is not found.
type Finder struct {
	// Expand returns the points on this system that p matches, in a stable order. If p
	// contains no wildcard, that is p itself. The result is empty if nothing matches. If
	// Expand is nil, attach points of the kind have no wildcards.
	Expand func(e *Env, p *Point) ([]*Point, error)
	// List yields the names of all attach points that match a search pattern. parts
	// is as in Parse, and may have wildcards, the provider too.
	List func(e *Env, parts []string, yield func(name string) bool) error
	// Suggest returns the name that is most similar to one that Expand did not find, or
	// "". It may read long lists, so it is used only for error messages. It may be nil.
	Suggest func(e *Env, p *Point) string
	// Lacks returns what is missing for this kind of probe if the object that p names
	// exists but Expand did not find it, or "". It may be nil.
	Lacks func(e *Env, p *Point) string
	// Doubt returns a warning about a point without wildcards, or "". It is also
	// called for points that Expand does not find. It may be nil.
	Doubt func(e *Env, p *Point) string
}

// Attacher has the functions that attach programs, and the properties of the hooks in the
// kernel.
type Attacher struct {
	// Attach attaches a loaded program. The closer detaches it. Attach is nil if Runs
	// is not OnEvent.
	Attach func(e *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error)
	// AttachMany attaches one program to all of ps at once, which is faster. If it is
	// nil or returns an error that wraps ebpf.ErrNotSupported, the caller attaches
	// them one by one.
	AttachMany func(e *Env, prog *ebpf.Program, ps []*object.Point) (io.Closer, error)
	// Gather is called with all points of the kind in a script before any Context, unless
	// each point needs its own hook. It marks the points to be attached together. It may
	// be nil.
	Gather func(e *Env, ps []*Point)
	// Dispatchers returns the dispatchers for the programs of a whole script whose points
	// have Multi set. If it is nil, programs are attached without dispatchers.
	Dispatchers func(e *Env, progs []*object.Program) []object.Dispatcher
	// AttachDispatcher attaches a loaded dispatcher. The text says to which points and how.
	// It is nil if Dispatchers is.
	AttachDispatcher func(d *object.Dispatcher, prog *ebpf.Program) (io.Closer, string, error)
	// Return is the name of the kind for returns of the same functions, if the kernel
	// can run one program at calls and returns (a session), or "".
	Return string
	// Session returns the attach type of a program for a session, or 0 if the kernel has
	// none. It is nil if Return is "".
	Session func(e *Env) ebpf.AttachType
	// AttachSession attaches such a program to the calls and returns of functions. ps are
	// the points for the calls. It is nil if Return is "".
	AttachSession func(e *Env, prog *ebpf.Program, ps []*object.Point) (io.Closer, error)
	// Reverse is set if the kernel runs the programs at one location in the reverse
	// order of their attachment.
	Reverse bool
	// Detachable is set if a script can detach a single probe by its address.
	Detachable bool
	// Exclusive is set if the kernel may refuse a second program at a point, or has room for
	// few points.
	Exclusive bool
	// Alone is set if a script with such a probe can have no other probe but begin and
	// end, and only one attach point.
	Alone bool
	// Unique is set if results are reported by the name of the probe, so that no two
	// probes of a script may have the same name.
	Unique bool
}

// Traits has the properties of the kind that the rest of gotrace uses.
type Traits struct {
	// Class is the value of the builtin probetype; "": Name.
	Class string
	// Runs is the time at which the programs run.
	Runs Moment
	// OnReturn is set if a program runs when the function at the point returns.
	OnReturn bool
	// Call returns the key and the name of a function or system call, if programs at p
	// run at its call or (if returns is true) at its return. Otherwise the key is "". It
	// is nil for kinds that do not run at calls or returns.
	Call func(p *Point) (key, name string, returns bool)
	// Outermost is set if filters of probes do not apply to the kind (begin, end).
	Outermost bool
	// Confine determines how the flags that select processes confine the programs.
	Confine Confinement
	// ChildOnly is set if, with -c or -p, programs run in the process but not in those that
	// it forks.
	ChildOnly bool
	// FollowsCalls is set if the kernel follows a limited number of calls at a time to
	// their return, and misses others.
	FollowsCalls bool
	// FuncArgs is set if args contains the parameters of a function.
	FuncArgs bool
	// NoteArgs is set if a note in the file lists the arguments. A script can select
	// one by a number that is known only at run time.
	NoteArgs bool
	// Named is the kind that has args for the functions of this kind, such as fentry for
	// kprobe. It is "" if there is none.
	Named string
	// Decides is set if the kernel acts on the result of a program: whether a packet
	// passes, or an operation is allowed. Scripts can set the result only with
	// --unsafe.
	Decides bool
	// Overrides is set if a program can make the function return a value without
	// running.
	Overrides bool
	// Paths is set if programs may call bpf_d_path, the helper for the path of a file.
	// If FuncArgs is set, they may do so only in some functions.
	Paths bool
}

// Manual has the texts about the kind in help and errors.
type Manual struct {
	Syntax string // for help and errors: "kprobe:[module:]function[+offset]"
	Doc    string // one or two sentences
	Since  string // first kernel release that supports it; "" if 5.10
	// Overhead is the time that the kernel itself takes to run a program at an event, as
	// text. It is "" if the programs do not run at events of the system.
	Overhead string
}

// Shown returns the value of the builtin probetype.
func (k *Kind) Shown() string { return cmp.Or(k.Class, k.Name) }

// Env is the environment of the kinds: the kernel and the options of the command
// line.
type Env struct {
	Kernel      Kernel
	Unsafe      bool
	PID         int                         // -p, 0 if not given
	MainEnded   bool                        // the main thread of PID has ended, but others run
	Scope       Scope                       // --follow, --comm, --uid, --cgroup
	ChildPID    int                         // -c, 0 if not given or not started yet
	ChildFiles  func() []string             // returns the files that the program of -c maps when it starts; nil without -c
	ForeignPIDs bool                        // process IDs are not those of the initial pid namespace
	Filter      func(name string) bool      // --probe-filter: accepts points by name; nil: all
	NoFeature   map[string]bool             // --no-feature: see Feature
	DebugInfo   string                      // --debuginfo: directories to search for debug files before /usr/lib/debug
	FetchDebug  func(buildID string) string // path of a debug file from elsewhere, or ""; may be nil

	// Needs records the facts that were read from sources other than Kernel. It may be
	// nil.
	Needs *object.Needs

	// Crowded is set if the script has many attach points. The kernel detaches perf events
	// from functions of programs one at a time, in up to 100 ms each, so uprobes and USDT
	// probes use links then.
	Crowded bool

	// FuncNames has the names that results show for functions which share their name with
	// others, by address (uint64, string). Attaching fills it. It may be nil.
	FuncNames *sync.Map

	// Types caches the kernel's types in the form of package ebpf, which takes about 25
	// ms when a program first needs them. It may be nil.
	Types *btf.Cache

	opened map[string]*binary.File // by path
	// replaced holds paths of files that the process of -p has mapped, by the paths that
	// these had. nil: not known yet.
	replaced map[string]string
	defined  int // number of probes defined in tracefs
}

// LoadProgram loads a program.
func (e *Env) LoadProgram(spec *ebpf.ProgramSpec, opt ebpf.ProgramOptions) (*ebpf.Program, error) {
	if e.Types == nil {
		return ebpf.NewProgramWithOptions(spec, opt)
	}
	// Only collections can share the types.
	c, err := ebpf.NewCollectionWithOptions(&ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{spec.Name: spec}}, ebpf.CollectionOptions{Programs: opt, Cache: e.Types})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.DetachProgram(spec.Name), nil
}

// traced returns the process of -p or -c to which the kernel must confine a probe, if
// it can; 0: none. With --follow, programs must run in other processes too. If the main
// thread of the process has ended, the kernel does not find the others by it.
//
//go:noinline
func (e *Env) traced() int {
	if e.Scope.Follow || e.MainEnded {
		return 0
	}
	return cmp.Or(e.PID, e.ChildPID)
}
