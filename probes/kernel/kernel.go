// Package kernel answers what the compiler asks of a kernel: its types,
// functions, tracepoints, symbols and features (probes.Kernel).
//
// There is one implementation over a source of named byte strings. Live reads
// them from /sys, /proc and tracefs of the running system; Frozen reads them
// from a fixture that Freeze made on some other one. A name is what the kernel
// calls the file, relative to the place it is mounted: "btf/vmlinux",
// "tracing/events/sched/sched_switch/format", "kallsyms".
//
// Nothing is read before it is asked for, and no more of it than the question
// needs: looking one struct up in BTF decodes that struct, not the 140,000
// types beside it. Every fact is read at most once.
package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"strings"
	"sync"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

// ErrNotFound is what lookups of names the kernel does not have wrap.
var ErrNotFound = probes.ErrNotFound

// ErrNoBTF is that of all types where the kernel has no BTF.
var ErrNoBTF = probes.ErrNoBTF

// Kernel is a kernel to compile for. It implements probes.Kernel.
type Kernel struct {
	src source

	facts     func() (facts, error)
	btf       func() (*btfSet, error)
	events    func() ([]string, error)
	funcs     func() ([]string, error)
	syms      func() (*symbolTable, error)
	features  sync.Map // probes.Feature → bool
	formatsMu sync.Mutex
	formats   map[string]*probes.TraceFormat
}

var _ probes.Kernel = (*Kernel)(nil)

// facts are the few scalar ones.
type facts struct {
	release  probes.Version
	arch     string
	cpus     int
	page     int
	features map[probes.Feature]bool // frozen only: what the kernel had
}

func newKernel(src source) *Kernel {
	k := &Kernel{src: src, formats: map[string]*probes.TraceFormat{}}
	k.facts = sync.OnceValues(src.facts)
	k.btf = sync.OnceValues(func() (*btfSet, error) { return loadBTF(src) })
	k.events = sync.OnceValues(k.readEvents)
	k.funcs = sync.OnceValues(k.readFunctions)
	k.syms = sync.OnceValues(func() (*symbolTable, error) { return loadSymbols(src) })
	return k
}

// Release is the kernel's version.
func (k *Kernel) Release() probes.Version { f, _ := k.facts(); return f.release }

// Arch is GOARCH's name for the kernel's architecture.
func (k *Kernel) Arch() string { f, _ := k.facts(); return f.arch }

// NumCPU is the number of possible CPUs.
func (k *Kernel) NumCPU() int { f, _ := k.facts(); return f.cpus }

// PageSize is the size of a memory page in bytes.
func (k *Kernel) PageSize() int { f, _ := k.facts(); return f.page }

// Type looks a type up by its C name.
func (k *Kernel) Type(name string) (*types.Type, error) {
	set, err := k.btf()
	if err != nil {
		return nil, err
	}
	return set.typeByName(name)
}

// TypeNames lists all named types of a kind, in order, without duplicates.
func (k *Kernel) TypeNames(kind string) []string {
	set, err := k.btf()
	if err != nil {
		return nil
	}
	return set.typeNames(kind)
}

// TypeDecl is the C declaration of a struct, union or enum as -lv prints it, behind
// the name of what has it: "vmlinux: struct …".
func (k *Kernel) TypeDecl(name string) (string, error) {
	set, err := k.btf()
	if err != nil {
		return "", err
	}
	return set.declaration(name)
}

// EnumConst finds an enum constant.
func (k *Kernel) EnumConst(name string) (int64, *types.Type, bool) {
	set, err := k.btf()
	if err != nil {
		return 0, nil, false
	}
	return set.enumConst(name)
}

// FuncProto finds a function in BTF.
func (k *Kernel) FuncProto(module, name string) (*probes.FuncProto, error) {
	set, err := k.btf()
	if err != nil {
		return nil, err
	}
	return set.funcProto(module, name)
}

// TracepointProto is the prototype of a raw tracepoint's arguments.
func (k *Kernel) TracepointProto(module, name string) (*probes.FuncProto, error) {
	set, err := k.btf()
	if err != nil {
		return nil, err
	}
	return set.tracepointProto(module, name)
}

// RawTracepoints lists the raw tracepoints BTF knows as "module:name".
func (k *Kernel) RawTracepoints() ([]string, error) {
	set, err := k.btf()
	if err != nil {
		return nil, err
	}
	return set.rawTracepoints(), nil
}

// Iterators lists the BPF iterators of the kernel.
func (k *Kernel) Iterators() []string {
	set, err := k.btf()
	if err != nil {
		return nil
	}
	return set.iterators()
}

// Kfunc is the BTF id of a kernel function that programs may call.
func (k *Kernel) Kfunc(name string) (uint32, bool) {
	set, err := k.btf()
	if err != nil {
		return 0, false
	}
	id := set.vmlinux.find(name, kindFunc)
	return id, id != 0
}

// Modules lists the loaded modules that have something to trace, and vmlinux.
func (k *Kernel) Modules() []string {
	names := []string{"vmlinux"}
	if text, err := k.src.read("modules"); err == nil {
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 0 {
				names = append(names, f[0])
			}
		}
	}
	sort.Strings(names[1:])
	return names
}

// Functions lists the functions that the kernel says can be traced.
func (k *Kernel) Functions() ([]string, error) { return k.funcs() }

// ListFunctions takes the list of traceable functions from a file instead of
// tracefs, in the same form.
func (k *Kernel) ListFunctions(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	list := parseFunctions(string(text))
	k.funcs = func() ([]string, error) { return list, nil }
	return nil
}

func (k *Kernel) readFunctions() ([]string, error) {
	text, err := k.src.read("tracing/available_filter_functions")
	if err != nil {
		return nil, fmt.Errorf("the list of traceable functions can't be read: %w", err)
	}
	return parseFunctions(string(text)), nil
}

// parseFunctions reads lines "name" or "name [module]" into "module:name", in
// order and without duplicates (static functions share names).
func parseFunctions(text string) []string {
	list := make([]string, 0, strings.Count(text, "\n"))
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		if name == "" || risky(name) {
			continue
		}
		mod := "vmlinux"
		if m := strings.Trim(rest, "[] \t"); m != "" {
			mod = m
		}
		list = append(list, mod+":"+name)
	}
	return sortUnique(list)
}

// risky reports functions that are listed as traceable, but that a wildcard is
// not to match: names of places that are no functions, and functions that run
// where RCU does not watch or that tracing itself calls. The kernel's own tests
// of probes on all functions leave out the same.
func risky(name string) bool {
	return strings.HasPrefix(name, "__ftrace_invalid_address__") || strings.HasPrefix(name, "rcu_") ||
		name == "arch_cpu_idle" || name == "default_idle"
}

func sortUnique(list []string) []string {
	sort.Strings(list)
	out := list[:0]
	for i, s := range list {
		if i == 0 || s != list[i-1] {
			out = append(out, s)
		}
	}
	return out
}

// Tracepoints lists all "category:event", in order.
func (k *Kernel) Tracepoints() ([]string, error) { return k.events() }

func (k *Kernel) readEvents() ([]string, error) {
	text, err := k.src.read("tracing/available_events")
	if err != nil {
		return nil, fmt.Errorf("the list of tracepoints can't be read: %w", err)
	}
	return sortUnique(strings.Fields(string(text))), nil
}

// Tracepoint is a tracepoint's record layout.
func (k *Kernel) Tracepoint(category, event string) (*probes.TraceFormat, error) {
	name := category + ":" + event
	k.formatsMu.Lock()
	defer k.formatsMu.Unlock()
	if f := k.formats[name]; f != nil {
		return f, nil
	}
	text, err := k.formatText(category, event)
	if err != nil {
		return nil, err
	}
	f, err := parseFormat(text, category, k.Type)
	if err != nil {
		return nil, fmt.Errorf("tracepoint %s: %w", name, err)
	}
	f.Digest = digest(text)
	k.formats[name] = f
	return f, nil
}

// TracepointDigest is the Digest of a tracepoint's format, without reading more
// of it than that.
func (k *Kernel) TracepointDigest(category, event string) (string, error) {
	text, err := k.formatText(category, event)
	return digest(text), err
}

func (k *Kernel) formatText(category, event string) (string, error) {
	name := category + ":" + event
	if category == "" || event == "" || strings.ContainsAny(name, "/\x00") || category == ".." || event == ".." {
		return "", fmt.Errorf("tracepoint %s: %w", name, ErrNotFound)
	}
	text, err := k.src.read("tracing/events/" + category + "/" + event + "/format")
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("tracepoint %s: %w", name, ErrNotFound)
	} else if err != nil {
		return "", fmt.Errorf("tracepoint %s: %w", name, err)
	}
	return string(text), nil
}

// Symbol is the address of a kernel symbol.
func (k *Kernel) Symbol(name string) (uint64, bool) {
	t, err := k.syms()
	if err != nil {
		return 0, false
	}
	return t.address(name)
}

// SymbolAt is the symbol that covers an address.
func (k *Kernel) SymbolAt(addr uint64) (name, module string, offset uint64, ok bool) {
	t, err := k.syms()
	if err != nil {
		return "", "", 0, false
	}
	return t.at(addr)
}

// SyscallName is the name of a system call of the kernel's architecture, or "".
func (k *Kernel) SyscallName(nr int) string { return syscallName(k.Arch(), nr) }
