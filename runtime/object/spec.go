package object

import (
	"encoding/binary"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Spec returns the object's maps and programs in the form that package ebpf loads.
func (o *Object) Spec() *ebpf.CollectionSpec {
	s := &ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{}, Programs: map[string]*ebpf.ProgramSpec{}}
	for i := range o.Kernel {
		s.Maps[o.Kernel[i].Name] = o.Kernel[i].Spec()
	}
	for _, p := range o.Programs {
		s.Programs[p.Name] = p.Spec()
	}
	return s
}

const (
	readOnly = 1 << 7  // BPF_F_RDONLY_PROG
	mmapable = 1 << 10 // BPF_F_MMAPABLE

	sleepable = 1 << 4 // BPF_F_SLEEPABLE, of a program
)

// Spec returns the map in the form that package ebpf creates.
func (m *KernelMap) Spec() *ebpf.MapSpec {
	s := &ebpf.MapSpec{
		Name: m.Name, Type: m.Type, KeySize: uint32(m.KeySize), ValueSize: uint32(m.ValueSize),
		MaxEntries: uint32(m.MaxEntries), Flags: m.Flags,
	}
	if m.Frozen {
		s.Flags |= readOnly
	}
	if m.Type == ebpf.SkStorage { // the kernel requires types
		s.Key = &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
		s.Value = &btf.Array{Index: s.Key, Type: &btf.Int{Name: "unsigned char", Size: 1}, Nelems: s.ValueSize}
	}
	if m.Inner != 0 {
		s.InnerMap = m.InnerSpec()
	}
	if m.Contents != nil {
		value := make([]byte, m.ValueSize)
		copy(value, m.Contents)
		s.Contents = []ebpf.MapKV{{Key: uint32(0), Value: value}}
	}
	return s
}

// InnerSpec returns an array that an array of maps holds.
func (m *KernelMap) InnerSpec() *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: "inner", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(m.Inner), MaxEntries: 1, Flags: mmapable}
}

// Spec returns the program in the form that package ebpf loads, with the script's
// lines. The instructions are a copy. If AttachProg is not 0, the caller must set
// AttachTarget.
func (p *Program) Spec() *ebpf.ProgramSpec {
	s := &ebpf.ProgramSpec{
		Name: p.Name, Type: p.Type, AttachType: p.AttachType, AttachTo: p.AttachTo, License: p.License,
		Instructions: append(p.Insns[:0:0], p.Insns...), ByteOrder: binary.LittleEndian,
	}
	if p.Sleeps {
		s.Flags |= sleepable
	}
	// The kernel requires function info for callbacks, and then for all functions.
	// Tools that show programs use it too.
	for i, f := range p.Funcs {
		fn := funcBTF(f, contextType(p.Type, p.AttachType))
		if i == 0 {
			fn.Name, fn.Type = p.Name, MainProto
		}
		s.Instructions[f.First] = btf.WithFuncMetadata(s.Instructions[f.First], fn)
	}
	addLines(s.Instructions, p.Lines)
	return s
}

// MainProto is the type of the function that a program starts with, long f(void *context).
// Without the parameter,
// an fentry or fexit probe on the program would not keep the context for it.
var MainProto = &btf.FuncProto{
	Return: Long,
	Params: []btf.FuncParam{{Name: "context", Type: &btf.Pointer{Target: (*btf.Void)(nil)}}},
}

// Long is the type of integers of 64 bits.
var Long = &btf.Int{Name: "long", Size: 8, Encoding: btf.Signed}

// contextType returns the type by which the kernel recognizes a program's context as a
// function's parameter. It is nil if there is no such type, or if each target has a
// different one.
func contextType(t ebpf.ProgramType, at ebpf.AttachType) btf.Type {
	name := ""
	switch t {
	case ebpf.Kprobe:
		name = "pt_regs"
	case ebpf.PerfEvent:
		name = "bpf_perf_event_data"
	case ebpf.TracePoint, ebpf.RawTracepoint, ebpf.LSM:
		return &btf.Pointer{Target: Long}
	case ebpf.Tracing:
		if at == ebpf.AttachTraceIter {
			return nil
		}
		return &btf.Pointer{Target: Long}
	default:
		return nil
	}
	return &btf.Pointer{Target: &btf.Struct{Name: name}}
}

// PassesContext reports whether a program of that type can pass its context to a global
// function. It needs Linux 6.8.
func PassesContext(t ebpf.ProgramType, at ebpf.AttachType) bool { return contextType(t, at) != nil }

func funcBTF(f Func, context btf.Type) *btf.Func {
	proto := &btf.FuncProto{Return: Long}
	for i := range f.Params {
		proto.Params = append(proto.Params, btf.FuncParam{Name: fmt.Sprintf("a%d", i), Type: Long})
	}
	linkage := btf.StaticFunc
	if f.Global {
		linkage = btf.GlobalFunc
	}
	out := &btf.Func{Name: f.Name, Type: proto, Linkage: linkage}
	if f.Context {
		proto.Params[0].Type = context
		out.ParamTags = make([][]string, len(proto.Params))
		out.ParamTags[0] = []string{"arg:ctx"}
	}
	return out
}

// RingSize returns the size of the ring buffer in bytes: the script's setting, or
// usual if there is none. The size is a power of two and at least a page, as the
// kernel requires.
func (s *Settings) RingSize(usual int) int {
	page := os.Getpagesize()
	want := s.PerfRBPages * page
	if want <= 0 {
		want = usual
	}
	size := page
	for size*2 <= want {
		size *= 2
	}
	return size
}
