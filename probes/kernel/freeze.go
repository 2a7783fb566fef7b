package kernel

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/gotrace/gotrace/runtime/outline"
)

// Corpus lists the contents of a frozen kernel. Names that do not exist in the kernel
// are ignored, so the frozen kernel lacks them too. Patterns are not supported.
type Corpus struct {
	Types          []string // "struct task_struct", typedefs by bare name; with all types that they refer to
	Functions      []string // "vfs_read" or "module:vfs_read": in BTF, and in the list of traceable functions
	Tracepoints    []string // "category:event", with their formats
	RawTracepoints []string // "sched_switch"
	Iterators      []string // "task"
	Symbols        []string // kallsyms
	Kfuncs         []string
}

// Frozen opens a kernel that Freeze wrote: the file, or a directory to which it was
// unpacked.
func Frozen(path string) (*Kernel, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return FrozenFS(os.DirFS(path))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, outline.Errorf("%s: not a frozen kernel: %w", path, err)
	}
	return FrozenFS(r)
}

// FrozenFS returns a frozen kernel whose files are in fsys.
func FrozenFS(fsys fs.FS) (*Kernel, error) {
	k := newKernel(&fsSource{fsys})
	_, err := k.facts.Get()
	return k, err
}

// always lists types that builtins use without naming them in the script.
var always = []string{
	"struct task_struct", "struct pt_regs", "struct path", "struct cgroup", "struct bpf_perf_event_data",
	"struct bpf_perf_event_data_kern", "enum bpf_func_id", "struct sk_buff", "struct __sk_buff", "struct xdp_md", "struct sockaddr",
}

// Freeze writes the parts of kernel k that c lists to w, as a zip archive. The same
// kernel and corpus always result in the same bytes.
func (k *Kernel) Freeze(w io.Writer, c Corpus) error {
	facts, err := k.facts.Get()
	if err != nil {
		return err
	}
	z := zip.NewWriter(w)
	add := func(name, text string) {
		if err != nil {
			return
		}
		var f io.Writer
		if f, err = z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate}); err == nil {
			_, err = io.WriteString(f, text)
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "release %d.%d.%d\narch %s\ncpus %d\npage %d\n", facts.release.Major, facts.release.Minor, facts.release.Patch, facts.arch, facts.cpus, facts.page)
	for _, row := range featureTable {
		if k.Has(row.name) {
			fmt.Fprintf(&b, "feature %s\n", row.name)
		}
	}
	add("kernel", b.String())

	formats := map[string]string{}
	for _, tp := range sortUnique(append([]string(nil), c.Tracepoints...)) {
		cat, event, _ := strings.Cut(tp, ":")
		name := "tracing/events/" + cat + "/" + event + "/format"
		if text, err := k.src.read(name); err == nil {
			formats[tp] = string(text)
			add(name, string(text))
			c.Types = append(c.Types, formatTypes(string(text))...)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	events := make([]string, 0, len(formats))
	for tp := range formats {
		events = append(events, tp)
	}
	sort.Strings(events)
	add("tracing/available_events", lines(events))

	blob, ferr := k.freezeBTF(c)
	if ferr != nil {
		return ferr
	}
	add("btf/vmlinux", string(blob))

	add("tracing/available_filter_functions", k.freezeFunctions(c))
	add("kallsyms", k.freezeSymbols(c.Symbols))
	if err != nil {
		return err
	}
	return z.Close()
}

func lines(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return strings.Join(list, "\n") + "\n"
}

// formatTypes returns the names of structs and enums in a format file.
func formatTypes(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		decl, ok := strings.CutPrefix(strings.TrimSpace(line), "field:")
		if !ok {
			continue
		}
		decl, _, _ = strings.Cut(decl, ";")
		words := strings.Fields(strings.NewReplacer("*", " ", "const", " ").Replace(decl))
		switch {
		case len(words) >= 3 && (words[0] == "struct" || words[0] == "union" || words[0] == "enum"):
			names = append(names, words[0]+" "+words[1])
		case len(words) == 2:
			names = append(names, words[0])
		}
	}
	return names
}

// freezeFunctions returns the part of the list of traceable functions that c lists.
// If the kernel has no such list, functions in BTF and kallsyms are used instead.
func (k *Kernel) freezeFunctions(c Corpus) string {
	want := map[string]bool{}
	for _, f := range c.Functions {
		want[f] = true
	}
	all, err := k.Functions()
	var out []string
	if err != nil {
		for f := range want {
			mod, name, ok := strings.Cut(f, ":")
			if !ok {
				mod, name = "vmlinux", f
			}
			if _, err := k.FuncProto(mod, name); err == nil {
				all = append(all, mod+":"+name)
			}
		}
		sort.Strings(all)
	}
	for _, f := range all {
		mod, name, _ := strings.Cut(f, ":")
		if !want[f] && !want[name] {
			continue
		}
		if mod == "vmlinux" {
			out = append(out, name)
		} else {
			out = append(out, name+" ["+mod+"]")
		}
	}
	return lines(out)
}

func (k *Kernel) freezeSymbols(names []string) string {
	t, err := k.syms.Get()
	if err != nil {
		return ""
	}
	var out []string
	for _, name := range sortUnique(append([]string(nil), names...)) {
		if addr, ok := t.address(name); ok {
			out = append(out, fmt.Sprintf("%016x T %s", addr, name))
		}
	}
	sort.Strings(out)
	return lines(out)
}

// freezeBTF returns a BTF blob of the types that c lists and those they refer to.
//
//go:noinline
func (k *Kernel) freezeBTF(c Corpus) ([]byte, error) {
	set, err := k.btf.Get()
	if err != nil {
		return nil, err
	}
	data, err := k.src.read("btf/vmlinux")
	if err != nil {
		return nil, err
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	b, err := btf.NewBuilder(nil, nil)
	if err != nil {
		return nil, err
	}
	var ids []uint32
	add := func(name string, kinds ...int) {
		if id := set.vmlinux.find(name, kinds...); id != 0 {
			ids = append(ids, id)
		}
	}
	for _, name := range append(append([]string(nil), always...), c.Types...) {
		kinds, bare := splitName(name)
		add(bare, kinds...)
	}
	for _, f := range append(append([]string(nil), c.Functions...), c.Kfuncs...) {
		add(f[strings.LastIndexByte(f, ':')+1:], kindFunc)
	}
	for _, name := range c.RawTracepoints {
		add("btf_trace_"+name, kindTypedef)
		for _, prefix := range []string{"__traceiter_", "__probestub_", "__bpf_trace_"} {
			add(prefix+name, kindFunc)
		}
	}
	for _, name := range c.Iterators {
		add("bpf_iter__"+name, kindStruct)
		add("bpf_iter_"+name, kindFunc)
	}
	for _, row := range featureTable {
		for _, name := range []string{row.needs, row.backport} {
			add(name, kindFunc, kindStruct)
		}
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	for _, id := range ids {
		t, err := spec.TypeByID(btf.TypeID(id))
		if err != nil {
			return nil, err
		}
		if _, err := b.Add(t); err != nil {
			return nil, err
		}
	}
	return b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian, ReplaceDeclTags: false})
}
