package probes

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ianlancetaylor/demangle"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/object"
)

// The kernel and programs have static functions of the same name in different files. A
// probe on such a name is attached to all of them, by address. Each is a point with its own
// Count, from 1 on in the order of the addresses, and a name that ends in "#" and that
// number.

// cutHomonym splits a function in an attach point, "f#2" or "f@file.c", into its name
// and the number or the file that selects one of several functions.
func cutHomonym(fn string) (name string, n uint64, file string, err error) {
	if name, num, ok := strings.Cut(fn, "#"); ok {
		n, err := strconv.ParseUint(num, 10, 16)
		if err != nil || n == 0 || name == "" {
			return "", 0, "", usage("%s: a number from 1 on follows the #, which selects one of several functions of a name", fn)
		}
		return name, n, "", nil
	}
	if name, file, ok := strings.Cut(fn, "@"); ok {
		if name == "" || file == "" {
			return "", 0, "", usage("%s: the name of a source file follows the @, which selects one of several functions of a name", fn)
		}
		return name, 0, file, nil
	}
	return fn, 0, "", nil
}

// expandHomonyms returns the points for a function with a given name: one for each
// function of that name, or p itself if there is only one. p.Count and p.Mode select
// one of them by number or by source file.
func expandHomonyms(e *Env, p *Point) ([]*Point, error) {
	addrs := e.Kernel.Homonyms(p.Target, p.Func)
	if p.Count > uint64(max(len(addrs), 1)) {
		return nil, tooFew(p.Func, p.Count, len(addrs))
	}
	only := p.Count
	if p.Mode != "" {
		n, err := homonymOf(e, p.Func, p.Mode, addrs)
		if err != nil {
			return nil, err
		}
		only = n
	}
	if len(addrs) == 0 {
		q := *p
		q.Count, q.Mode = 0, ""
		return []*Point{&q}, nil
	}
	var out []*Point
	for i := range addrs {
		if n := uint64(i + 1); only == 0 || only == n {
			q := *p
			q.Count, q.Mode = n, ""
			q.Matched = p.Matched || only == 0
			q.Name = homonymName(p, n)
			out = append(out, &q)
		}
	}
	return out, nil
}

// tooFew is the error if there are fewer than n functions of a name.
//
//go:noinline
func tooFew(fn string, n uint64, there int) error {
	return usage("there are not %d functions of the name %s, but %d", n, fn, max(there, 1))
}

// notInFile is the error if the functions of a name are in other source files.
//
//go:noinline
func notInFile(fn, file string, there []string) error {
	slices.Sort(there)
	return usage("no function %s is in %s: those of that name are in %s", fn, file, strings.Join(there, ", "))
}

// oneOfSeveral returns a warning that fentry and fexit run for one of several functions of
// a name only, or "". In BTF, they are one function.
func oneOfSeveral(e *Env, p *Point) string {
	if p.Target == "bpf" {
		return ""
	}
	n := len(e.Kernel.Homonyms(p.Target, p.Func))
	if n < 2 {
		return ""
	}
	if _, err := e.Kernel.FuncProto(p.Target, p.Func); err != nil {
		return "" // it is refused
	}
	return fmt.Sprintf("the kernel has %d functions of the name %s and attaches %s to one of them; %s is attached to all", n, p.Func, p.Kind.Name, kprobeAt(p.Func))
}

// homonym returns the name of the nth of several functions of a name, or fn if n is 0.
//
//go:noinline
func homonym(fn string, n uint64) string {
	if n == 0 {
		return fn
	}
	return fn + "#" + strconv.FormatUint(n, 10)
}

// shownName returns the name that results show for a function of a program: with its
// number, unless the functions of the name are the versions of one.
//
//go:noinline
func shownName(name string, s *binary.Symbol) string {
	if !s.Static {
		return name
	}
	return homonym(name, uint64(s.Nth))
}

// homonymName returns the name of the point for the nth function of a name.
func homonymName(p *Point, n uint64) string {
	parts := []string{p.Kind.Name, homonym(p.Func, n)}
	if p.Target != "" {
		parts = slices.Insert(parts, 1, p.Target)
	}
	if p.Offset != 0 {
		parts[len(parts)-1] += fmt.Sprintf("+%d", p.Offset)
	}
	return strings.Join(parts, ":")
}

// homonymAddr returns the address of the function of a point with Count, and records the
// name that results show for it.
func homonymAddr(e *Env, p *object.Point) (uint64, error) {
	addrs := e.Kernel.Homonyms(p.Target, p.Func)
	if p.Count > uint64(len(addrs)) {
		return 0, &AttachError{p, fmt.Sprintf("there are only %d functions of the name %s", len(addrs), p.Func), ErrNotFound}
	}
	addr := addrs[p.Count-1]
	if e.FuncNames != nil {
		e.FuncNames.Store(placeOf("", addr), homonym(p.Func, p.Count))
	}
	return addr, nil
}

// placeOf identifies a function of the kernel by its address, or one of a program by its
// name and the offset of the probe in the file.
func placeOf(name string, at uint64) string { return name + "+" + strconv.FormatUint(at, 10) }

// nameHomonyms records the names that results show for the functions of points in files
// that share their names with others, if the points' names have a number.
func nameHomonyms(e *Env, ps ...*object.Point) {
	for _, p := range ps {
		numbered := strings.Contains(p.Name[strings.LastIndexByte(p.Name, ':')+1:], homonym("", p.Count))
		if p.Count != 0 && numbered && e.FuncNames != nil {
			for _, name := range []string{p.Func, demangle.Filter(p.Func)} {
				e.FuncNames.Store(placeOf(name, p.FileOffset), homonym(name, p.Count))
			}
		}
	}
}

// FunctionName returns the name to show for a function. It returns "" unless a probe has been
// attached to it as one of several functions of the same name. For a function of the kernel,
// name is "" and at is the address. For others, at is the offset of the probe in their file.
func (e *Env) FunctionName(name string, at uint64) string {
	if e.FuncNames == nil {
		return ""
	}
	shown, _ := e.FuncNames.Load(placeOf(name, at))
	text, _ := shown.(string)
	return text
}

// homonymOf returns the number, from 1 on, of the function of a name that is in a
// source file. It needs the kernel's file with symbols, since the running kernel does
// not report source files.
func homonymOf(e *Env, fn, file string, addrs []uint64) (uint64, error) {
	base, ok := e.Kernel.Symbol("_text")
	for _, path := range VmlinuxFiles(e) {
		found, err := sourceFiles(path, fn)
		if err != nil {
			continue
		}
		if !ok {
			break
		}
		var there []string
		for i, addr := range addrs {
			if found[addr-base] == file {
				return uint64(i + 1), nil
			}
			if found[addr-base] != "" {
				there = append(there, found[addr-base])
			}
		}
		if len(addrs) == 0 {
			for _, f := range found {
				if f == file {
					return 0, nil
				}
				there = append(there, f)
			}
		}
		if len(there) > 0 {
			return 0, notInFile(fn, file, there)
		}
	}
	return 0, usage("which function %s is in %s is not known: the kernel's file with symbols is not installed (vmlinux-%s, of the package with its debug information); %s#1, %[1]s#2 … select one by number", fn, file, osRelease.Get(), fn)
}

// VmlinuxFiles lists the possible paths of the running kernel's file with symbols.
func VmlinuxFiles(e *Env) []string {
	r := osRelease.Get()
	var list []string
	for _, dir := range filepath.SplitList(e.DebugInfo) {
		list = append(list, filepath.Join(dir, "vmlinux-"+r), filepath.Join(dir, "vmlinux"))
	}
	return append(list, "/usr/lib/debug/boot/vmlinux-"+r, "/usr/lib/debug/lib/modules/"+r+"/vmlinux", "/lib/modules/"+r+"/build/vmlinux", "/boot/vmlinux-"+r)
}

// ModuleFiles lists the possible paths of the file with the debug information of a module of
// the running kernel.
func ModuleFiles(e *Env, name string) []string {
	var list []string
	for _, dir := range filepath.SplitList(e.DebugInfo) {
		list = append(list, filepath.Join(dir, name+".ko.debug"), filepath.Join(dir, name+".ko"))
	}
	modules := "/lib/modules/" + osRelease.Get()
	paths, _ := os.ReadFile(modules + "/modules.dep")
	for line := range strings.Lines(string(paths)) {
		path, _, _ := strings.Cut(line, ".ko")
		if strings.ReplaceAll(filepath.Base(path), "-", "_") == name {
			path = filepath.Join(modules, path) + ".ko"
			list = append(list, "/usr/lib/debug"+path+".debug", "/usr/lib/debug"+path, path)
		}
	}
	return list
}

// sourceFiles returns the base names of the source files of the functions of a name, by
// their distance from the kernel's start.
func sourceFiles(path, fn string) (map[uint64]string, error) {
	x, err := binary.Open(path)
	if err != nil {
		return nil, err
	}
	defer x.Close()
	base, _ := x.Symbol("_text")
	out := map[uint64]string{}
	for _, s := range x.Named(fn) {
		if file := x.SourceFile(s); file != "" {
			out[s.Addr-base.Addr] = file
		}
	}
	return out, nil
}

// osRelease returns the complete release of the running kernel, as in the names of its
// files.
var osRelease = lazy.Value[string]{New: func() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}}
