// Package kernel implements probes.Kernel: a kernel's types, functions, tracepoints,
// symbols and features.
//
// Kernel reads them from named files. Live uses the files of the running system, in
// /sys, /proc and tracefs. Frozen uses an archive that Freeze wrote on another system.
// A name is the path of the file relative to its mount point: "btf/vmlinux",
// "tracing/events/sched/sched_switch/format", "kallsyms".
//
// A file is read once, when it is first needed. Only the necessary parts are decoded:
// looking up a struct decodes that struct, and not the 140,000 other types in BTF.
package kernel

import (
	"errors"
	"io/fs"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/outline"
)

// ErrNotFound is wrapped by the errors of lookups that find nothing.
var ErrNotFound = probes.ErrNotFound

// ErrNoBTF is the error of all lookups of types if the kernel has no BTF.
var ErrNoBTF = probes.ErrNoBTF

// Kernel is a live or frozen kernel. It implements probes.Kernel.
type Kernel struct {
	src source

	facts     lazy.Result[facts]
	btf       lazy.Result[*btfSet]
	events    lazy.Result[[]string]
	funcs     lazy.Result[[]string]
	syms      lazy.Result[*symbolTable]
	symsRead  atomic.Bool // syms has been called
	names     symbolNames
	features  sync.Map // probes.Feature → bool
	formatsMu sync.Mutex
	formats   map[string]*probes.TraceFormat
}

var _ probes.Kernel = (*Kernel)(nil)

// facts holds the scalar facts about a kernel.
type facts struct {
	release  probes.Version
	arch     string
	cpus     int
	page     int
	features map[probes.Feature]bool // features of a frozen kernel
}

func newKernel(src source) *Kernel {
	k := &Kernel{src: src, formats: map[string]*probes.TraceFormat{}}
	k.facts.New = src.facts
	k.btf.New = func() (*btfSet, error) { return loadBTF(src) }
	k.events.New = k.readEvents
	k.funcs.New = k.readFunctions
	k.syms.New = func() (*symbolTable, error) {
		k.symsRead.Store(true)
		return loadSymbols(src)
	}
	return k
}

// Release returns the kernel's version.
func (k *Kernel) Release() probes.Version { f, _ := k.facts.Get(); return f.release }

// Arch returns the kernel's architecture, as in GOARCH.
//
//go:noinline
func (k *Kernel) Arch() string { f, _ := k.facts.Get(); return f.arch }

// NumCPU returns the number of possible CPUs.
func (k *Kernel) NumCPU() int { f, _ := k.facts.Get(); return f.cpus }

// PageSize returns the size of a memory page in bytes.
func (k *Kernel) PageSize() int { f, _ := k.facts.Get(); return f.page }

// Type looks a type up by its C name.
func (k *Kernel) Type(name string) (*types.Type, error) {
	set, err := k.btf.Get()
	if err != nil {
		return nil, err
	}
	return set.typeByName(name)
}

// TypeNames lists all named types of a kind, in order, without duplicates.
func (k *Kernel) TypeNames(kind string) []string {
	set, err := k.btf.Get()
	if err != nil {
		return nil
	}
	return set.typeNames(kind)
}

// TypeDecl returns the C declaration of a struct, union or enum as -lv prints it,
// preceded by the name of the BTF that contains it: "vmlinux: struct …".
func (k *Kernel) TypeDecl(name string) (string, error) {
	set, err := k.btf.Get()
	if err != nil {
		return "", err
	}
	return set.declaration(name)
}

// EnumConst looks up an enum constant.
func (k *Kernel) EnumConst(name string) (int64, *types.Type, bool) {
	set, err := k.btf.Get()
	if err != nil {
		return 0, nil, false
	}
	return set.enumConst(name)
}

// FuncProto looks up a function in BTF.
func (k *Kernel) FuncProto(module, name string) (*probes.FuncProto, error) {
	set, err := k.btf.Get()
	if err != nil {
		return nil, err
	}
	return set.funcProto(module, name)
}

// TracepointProto returns the prototype of a raw tracepoint's arguments.
func (k *Kernel) TracepointProto(module, name string) (*probes.FuncProto, error) {
	set, err := k.btf.Get()
	if err != nil {
		return nil, err
	}
	return set.tracepointProto(module, name)
}

// RawTracepoints lists the raw tracepoints in BTF as "module:name".
func (k *Kernel) RawTracepoints() ([]string, error) {
	set, err := k.btf.Get()
	if err != nil {
		return nil, err
	}
	return set.rawTracepoints(), nil
}

// Iterators lists the BPF iterators of the kernel.
func (k *Kernel) Iterators() []string {
	set, err := k.btf.Get()
	if err != nil {
		return nil
	}
	return set.iterators()
}

// Kfunc returns the BTF ID of a kernel function that programs can call.
func (k *Kernel) Kfunc(name string) (uint32, bool) {
	set, err := k.btf.Get()
	if err != nil {
		return 0, false
	}
	id := set.vmlinux.find(name, kindFunc)
	return id, id != 0
}

// Modules lists vmlinux and the loaded modules that contain something to trace.
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

// Functions lists the functions in the kernel's list of traceable functions.
func (k *Kernel) Functions() ([]string, error) { return k.funcs.Get() }

// ListFunctions reads the list of traceable functions from a file instead of
// tracefs. It has the same format. The list must not have been read before.
func (k *Kernel) ListFunctions(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	list := parseFunctions(string(text))
	k.funcs.New = func() ([]string, error) { return list, nil }
	return nil
}

func (k *Kernel) readFunctions() ([]string, error) {
	text, err := k.src.read("tracing/available_filter_functions")
	if err != nil {
		return nil, outline.Errorf("the list of traceable functions cannot be read: %w", err)
	}
	return parseFunctions(string(text)), nil
}

// parseFunctions parses lines of the form "name" or "name [module]". It returns them as
// "module:name", in order. Static functions may have the same name.
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
	sort.Strings(list)
	return list
}

// risky reports whether wildcards must not match a name in the list of traceable
// functions: it is not a function, it runs where RCU is not watching, or tracing calls
// it. The kernel's own tests of probes on all functions exclude the same names.
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
func (k *Kernel) Tracepoints() ([]string, error) { return k.events.Get() }

func (k *Kernel) readEvents() ([]string, error) {
	text, err := k.src.read("tracing/available_events")
	if err != nil {
		return nil, outline.Errorf("the list of tracepoints cannot be read: %w", err)
	}
	return sortUnique(strings.Fields(string(text))), nil
}

// Tracepoint returns the layout of a tracepoint's records.
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
		return nil, outline.Errorf("tracepoint %s: %w", name, err)
	}
	f.Digest = digest(text)
	k.formats[name] = f
	return f, nil
}

// TracepointDigest returns the Digest of a tracepoint's format without parsing it.
func (k *Kernel) TracepointDigest(category, event string) (string, error) {
	text, err := k.formatText(category, event)
	return digest(text), err
}

func (k *Kernel) formatText(category, event string) (string, error) {
	name := category + ":" + event
	if category == "" || event == "" || strings.ContainsAny(name, "/\x00") || category == ".." || event == ".." {
		return "", outline.Errorf("tracepoint %s: %w", name, ErrNotFound)
	}
	text, err := k.src.read("tracing/events/" + category + "/" + event + "/format")
	if errors.Is(err, fs.ErrNotExist) {
		return "", outline.Errorf("tracepoint %s: %w", name, ErrNotFound)
	} else if err != nil {
		return "", outline.Errorf("tracepoint %s: %w", name, err)
	}
	return string(text), nil
}

// Symbol returns the address of a kernel symbol.
func (k *Kernel) Symbol(name string) (uint64, bool) {
	t, err := k.syms.Get()
	if err != nil {
		return 0, false
	}
	return t.address(name)
}

// SymbolAt returns the symbol that contains an address.
func (k *Kernel) SymbolAt(addr uint64) (name, module string, offset uint64, ok bool) {
	f := k.names.at(k, addr)
	return f.name, f.module, f.offset, f.name != ""
}

// SyscallName returns the name of a system call of the kernel's architecture, or "".
func (k *Kernel) SyscallName(nr int) string { return syscallName(k.Arch(), nr) }
