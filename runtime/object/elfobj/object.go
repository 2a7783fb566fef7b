package elfobj

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/object/layout"
)

// defaultRing is the size in bytes of the ring buffer if the script does not set
// it. It is the same on every machine.
const defaultRing = 4 << 20

// FromObject returns the ELF file for a compiled script.
func FromObject(obj *object.Object) (*File, error) {
	f := &File{}
	for i := range obj.Kernel {
		m := obj.Kernel[i].Spec()
		if m.Type == ebpf.RingBuf {
			m.MaxEntries = uint32(obj.Settings.RingSize(defaultRing))
		}
		f.Maps = append(f.Maps, m)
	}
	for _, p := range obj.Programs {
		f.License = p.License
		insns := p.Spec().Instructions
		for i := range max(len(p.Points), 1) {
			prog := Prog{Name: p.Name, Section: sectionOf(p, i), Insns: insns}
			if i > 0 {
				prog.Name = fmt.Sprintf("%s_%d", p.Name, i+1)
			}
			f.Progs = append(f.Progs, prog)
		}
	}
	var err error
	f.Layout, err = layoutOf(obj).Encode()
	return f, err
}

// sectionOf returns the name of a program's section for one of its attach points,
// by libbpf's convention. If libbpf has no name for the attach point, the section
// has no target: the program is loaded but not attached by bpf_program__attach.
func sectionOf(p *object.Program, point int) string {
	at := &object.Point{}
	if point < len(p.Points) {
		at = &p.Points[point]
	}
	switch p.Type {
	case ebpf.TracePoint:
		return join("tracepoint", at.Target, at.Func)
	case ebpf.RawTracepoint:
		return join("raw_tp", at.Func)
	case ebpf.Kprobe:
		return kprobeSection(p, at)
	case ebpf.PerfEvent:
		return "perf_event"
	case ebpf.Tracing:
		return join(tracingSections[p.AttachType], p.AttachTo)
	case ebpf.LSM:
		return join("lsm", p.AttachTo)
	case ebpf.XDP:
		return "xdp"
	case ebpf.SchedCLS:
		switch p.AttachType {
		case ebpf.AttachTCXIngress:
			return "tcx/ingress"
		case ebpf.AttachTCXEgress:
			return "tcx/egress"
		}
		return "tc"
	case ebpf.CGroupSKB:
		return "cgroup_skb/" + at.Mode
	}
	return strings.ToLower(p.Type.String())
}

var tracingSections = map[ebpf.AttachType]string{
	ebpf.AttachTraceFEntry: "fentry", ebpf.AttachTraceFExit: "fexit", ebpf.AttachModifyReturn: "fmod_ret",
	object.AttachTraceFEntryMulti: "fentry.multi", object.AttachTraceFExitMulti: "fexit.multi",
	ebpf.AttachTraceRawTp: "tp_btf", ebpf.AttachTraceIter: "iter",
}

// kprobeSection returns the name of a program's section for a function of the
// kernel or of a program.
func kprobeSection(p *object.Program, at *object.Point) string {
	kind, target := "kprobe", at.Func
	if at.File != "" {
		kind, target = "uprobe", at.File+":"+at.Func
		if at.Func == "" || at.Semaphore != 0 {
			return kind // libbpf has no name for an address alone
		}
	}
	if at.OnReturn && !at.AtInsn {
		kind = kind[:1] + "ret" + kind[1:]
	}
	switch p.AttachType {
	case ebpf.AttachTraceKprobeMulti, ebpf.AttachTraceUprobeMulti:
		kind += ".multi"
	case ebpf.AttachTraceKprobeSession:
		kind += ".session"
	}
	if at.Offset != 0 {
		target += fmt.Sprintf("+%d", at.Offset)
	}
	return join(kind, target)
}

// join joins the parts of a section's name, up to the first empty part.
func join(parts ...string) string {
	for i, p := range parts {
		if p == "" {
			return strings.Join(parts[:i], "/")
		}
	}
	return strings.Join(parts, "/")
}

// layoutOf describes the records that the programs send and the maps that they
// keep.
func layoutOf(obj *object.Object) *layout.Layout {
	l := &layout.Layout{Events: []layout.Event{}, Maps: []layout.Map{}}
	for i := range obj.Events {
		e := &obj.Events[i]
		ev := layout.Event{Builtin: e.Def, Source: e.Span.String(), Text: e.Span.Text(), Size: e.Size, Args: []layout.Arg{}}
		for _, l := range e.Lits {
			if m, ok := l.(*object.Message); ok {
				ev.Format = m.Format
				for _, a := range m.Args {
					ev.FormatArgs = append(ev.FormatArgs, formatArg(a))
				}
			}
		}
		for _, a := range e.Args {
			ev.Args = append(ev.Args, layout.Arg{Type: typeOf(a.Type), Off: a.Off, Packed: a.Packed})
		}
		l.Events = append(l.Events, ev)
	}
	for i := range obj.Maps {
		l.Maps = append(l.Maps, mapOf(&obj.Maps[i]))
	}
	return l
}

// formatArg describes the argument of a conversion in a format.
func formatArg(a object.MessageArg) layout.FormatArg {
	if a.Rec >= 0 {
		return layout.FormatArg{Arg: a.Rec}
	}
	t := typeOf(a.Type)
	v, err := t.Decode(a.Fixed)
	if err != nil {
		v = nil // only gotrace can print values of this type
	}
	return layout.FormatArg{Arg: -1, Value: v}
}

// mapOf describes the location of a map's values.
func mapOf(m *object.Map) layout.Map {
	out := layout.Map{
		Name: m.Name, Kept: m.Store, Kernel: m.Kernel, Short: m.Short, PerCPU: m.PerCPU,
		Off: m.Off, Number: m.Number, Part: m.Part, Value: typeOf(m.Value),
	}
	if m.Key != nil {
		t := typeOf(m.Key)
		out.Key = &t
	}
	return out
}

// typeOf describes a type by the sizes and offsets of its parts.
func typeOf(t *types.Type) layout.Type {
	out := layout.Type{Kind: "other", Name: t.Name, Size: t.Size, Params: t.Params}
	switch t.Kind {
	case types.Bool:
		out.Kind = "bool"
	case types.Int:
		out.Kind = "uint"
		if t.Signed {
			out.Kind = "int"
		}
	case types.Enum:
		out.Kind = "enum"
		if t.Consts != nil {
			out.Names = map[int64]string{}
			for _, c := range t.Consts.Values {
				out.Names[c.Value] = c.Name
			}
		}
	case types.Pointer:
		out.Kind, out.Name = "pointer", t.String()
	case types.String:
		out.Kind = "string"
	case types.Buffer:
		out.Kind = "buffer"
	case types.Array:
		elem := typeOf(t.Elem)
		out.Kind, out.Len, out.Elem = "array", t.Len, &elem
	case types.Tuple:
		out.Kind = "tuple"
	case types.Record:
		out.Kind = "record"
	case types.Struct:
		out.Kind = "struct"
	}
	for _, f := range t.Members() {
		out.Fields = append(out.Fields, layout.Field{Name: f.Name, Type: typeOf(f.Type), Off: f.Off, BitOff: f.BitOff, BitSize: f.BitSize})
	}
	return out
}
