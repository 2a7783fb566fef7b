package object

import (
	"encoding/binary"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Spec describes the object's maps and programs as package ebpf loads them.
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

const readOnly = 1 << 7 // BPF_F_RDONLY_PROG

// Spec describes the map as package ebpf creates it.
func (m *KernelMap) Spec() *ebpf.MapSpec {
	s := &ebpf.MapSpec{
		Name: m.Name, Type: m.Type, KeySize: uint32(m.KeySize), ValueSize: uint32(m.ValueSize),
		MaxEntries: uint32(m.MaxEntries), Flags: m.Flags,
	}
	if m.Frozen {
		s.Flags |= readOnly
	}
	if m.Contents != nil {
		s.Contents = []ebpf.MapKV{{Key: uint32(0), Value: m.Contents}}
	}
	return s
}

// Spec describes the program as package ebpf loads it, with the script's lines.
// Its instructions are a copy. A program whose AttachProg is not 0 still needs its AttachTarget.
func (p *Program) Spec() *ebpf.ProgramSpec {
	s := &ebpf.ProgramSpec{
		Name: p.Name, Type: p.Type, AttachType: p.AttachType, AttachTo: p.AttachTo, Flags: p.Flags, License: p.License,
		Instructions: append(p.Insns[:0:0], p.Insns...), ByteOrder: binary.LittleEndian,
	}
	// The kernel wants callbacks described, and then all functions. Tools that show
	// programs want it as well.
	for i, f := range p.Funcs {
		if i == 0 {
			f.Name = p.Name
		}
		s.Instructions[f.First] = btf.WithFuncMetadata(s.Instructions[f.First], funcBTF(f))
	}
	addLines(s.Instructions, p.Lines)
	return s
}

func funcBTF(f Func) *btf.Func {
	long := &btf.Int{Name: "long", Size: 8, Encoding: btf.Signed}
	proto := &btf.FuncProto{Return: long}
	for i := range f.Params {
		proto.Params = append(proto.Params, btf.FuncParam{Name: fmt.Sprintf("a%d", i), Type: long})
	}
	linkage := btf.StaticFunc
	if f.Global {
		linkage = btf.GlobalFunc
	}
	return &btf.Func{Name: f.Name, Type: proto, Linkage: linkage}
}

// RingSize returns the size in bytes of the ring buffer: what the script sets, or
// usual. It is a power of two and not less than a page, as the kernel requires.
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
