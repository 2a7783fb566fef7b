package irtest

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/gotrace/gotrace/codegen/ir"
)

// Machine interprets programs for differential tests, which compare a program before
// and after a pass, or with the kernel. Memory is a set of objects. An address has an
// object's number in the upper half and an offset in the lower half, so an access
// outside of its object is an error.
type Machine struct {
	Ctx     []byte
	Helpers HelperSet // nil: only the built-in ones
	Maps    map[*ir.Map]*MapState
	Steps   int // instructions executed so far
	Limit   int // maximum number of instructions; 0: one million

	objects [][]byte
	prog    *ir.Prog
}

// HelperSet implements helpers that the machine does not have.
type HelperSet interface {
	Call(m *Machine, h *ir.Helper, args []uint64) (uint64, error)
}

// MapState holds a map's contents. Values are objects, so that pointers to them
// stay valid.
type MapState struct {
	Map    *ir.Map
	Values map[string]uint64 // key → address
}

// ErrLimit is the error of a program that executes too many instructions.
var ErrLimit = errors.New("ir: step limit reached")

// NewMachine returns a machine with the maps of the module and their initial
// contents.
func NewMachine(m *ir.Module, ctx []byte) *Machine {
	mc := &Machine{Ctx: ctx, Maps: map[*ir.Map]*MapState{}, objects: make([][]byte, 1)}
	for _, mp := range m.Maps {
		st := &MapState{Map: mp, Values: map[string]uint64{}}
		mc.Maps[mp] = st
		if mp.Type == ir.Array || mp.Type == ir.PerCPUArray {
			for i := range max(mp.MaxEntries, 1) {
				val := make([]byte, mp.ValueSize)
				if i == 0 {
					copy(val, mp.Contents)
				}
				st.Values[string(binary.LittleEndian.AppendUint32(nil, uint32(i)))] = mc.Alloc(val)
			}
		}
	}
	return mc
}

// Alloc makes b an object and returns its address.
func (mc *Machine) Alloc(b []byte) uint64 {
	mc.objects = append(mc.objects, b)
	return uint64(len(mc.objects)-1) << 32
}

// Mem returns the n bytes at addr. The slice aliases the memory.
func (mc *Machine) Mem(addr uint64, n int) ([]byte, error) {
	obj, off := addr>>32, int(uint32(addr))
	if obj == 0 || obj >= uint64(len(mc.objects)) || mc.objects[obj] == nil || n < 0 || off+n > len(mc.objects[obj]) {
		return nil, fmt.Errorf("ir: access of %d bytes at %#x", n, addr)
	}
	return mc.objects[obj][off : off+n], nil
}

// Run executes p's main function with the context.
func (mc *Machine) Run(p *ir.Prog) (uint64, error) {
	mc.prog = p
	return mc.Call(p.Main, mc.Alloc(mc.Ctx))
}

// Call executes f.
func (mc *Machine) Call(f *ir.Func, args ...uint64) (uint64, error) {
	vals := make([]uint64, f.NumValues())
	limit := mc.Limit
	if limit == 0 {
		limit = 1000000
	}
	var from *ir.Block
	blk := f.Blocks[0]
	var phis []uint64
	for {
		phis = phis[:0]
		for _, v := range blk.Values {
			if v.Op != ir.OpPhi {
				break
			}
			for i, p := range blk.Preds {
				if p == from {
					phis = append(phis, vals[v.Args[i].ID])
					break
				}
			}
		}
		for i, v := range blk.Values {
			if mc.Steps++; mc.Steps > limit {
				return 0, ErrLimit
			}
			if v.Op == ir.OpPhi {
				vals[v.ID] = phis[i]
				continue
			}
			r, err := mc.eval(v, vals, args)
			if err != nil {
				return 0, fmt.Errorf("%s: %s: %s: %w", f.Name, blk, v, err)
			}
			vals[v.ID] = r
		}
		if mc.Steps++; mc.Steps > limit {
			return 0, ErrLimit
		}
		from = blk
		switch blk.Term {
		case ir.TermJump:
			blk = blk.Succs[0]
		case ir.TermBr:
			if vals[blk.Cond.ID] != 0 {
				blk = blk.Succs[0]
			} else {
				blk = blk.Succs[1]
			}
		case ir.TermRet:
			return vals[blk.Cond.ID], nil
		default:
			return 0, fmt.Errorf("%s: %s: no terminator", f.Name, blk)
		}
	}
}

func (mc *Machine) eval(v *ir.Value, vals, params []uint64) (uint64, error) {
	arg := func(i int) uint64 { return vals[v.Args[i].ID] }
	if v.Op.Info().Class != ir.NoClass {
		var y uint64
		if len(v.Args) > 1 {
			y = arg(1)
		}
		return ir.Eval(v.Op, arg(0), y), nil
	}
	if v.Op.Info().Access != ir.NoAccess {
		return mc.access(v, arg)
	}
	switch v.Op {
	case ir.OpConst:
		return uint64(v.Imm), nil
	case ir.OpParam:
		return params[v.Imm], nil
	case ir.OpSlot:
		if addr := vals[v.ID]; addr != 0 { // in a loop: the same address as before
			return addr, nil
		}
		b := make([]byte, v.Imm)
		for i := range b {
			b[i] = 0xa5
		}
		return mc.Alloc(b), nil
	case ir.OpMapPtr:
		return mc.mapHandle(v.Map), nil
	case ir.OpMapValue:
		return mc.Maps[v.Map].Values["\x00\x00\x00\x00"] + uint64(v.Imm), nil
	case ir.OpFuncAddr:
		for i, f := range mc.prog.Subs {
			if f == v.Fn {
				return uint64(i), nil
			}
		}
		return 0, errors.New("not a function of this program")
	case ir.OpBarrier:
		return arg(0), nil
	case ir.OpCall, ir.OpCallFn:
		args := make([]uint64, len(v.Args))
		for i := range args {
			args[i] = arg(i)
		}
		if v.Op == ir.OpCallFn {
			return mc.Call(v.Fn, args...)
		}
		return mc.helper(v.Help, args)
	}
	return 0, fmt.Errorf("ir: cannot interpret %s", v.Op)
}

// access executes an operation on memory.
func (mc *Machine) access(v *ir.Value, arg func(int) uint64) (uint64, error) {
	info := v.Op.Info()
	b, err := mc.Mem(arg(0)+uint64(v.Imm), int(v.Width()))
	if err != nil {
		return 0, err
	}
	switch info.Access {
	case ir.Loads:
		return readInt(b), nil
	case ir.Stores:
		writeInt(b, arg(1))
	case ir.Updates:
		old := readInt(b)
		switch {
		case len(v.Args) > 2: // the third operand, if the second is the old value
			if old == arg(1) {
				writeInt(b, arg(2))
			}
		case info.With != ir.OpInvalid:
			writeInt(b, ir.Eval(info.With, old, arg(1)))
		default:
			writeInt(b, arg(1))
		}
		if info.Result == ir.Int {
			return old, nil
		}
	case ir.Fills:
		clear(b)
	case ir.Moves:
		src, err := mc.Mem(arg(1), int(v.Width()))
		if err != nil {
			return 0, err
		}
		copy(b, src)
	}
	return 0, nil
}

func readInt(b []byte) uint64 {
	var x [8]byte
	copy(x[:], b)
	return binary.LittleEndian.Uint64(x[:])
}

func writeInt(b []byte, x uint64) {
	var buf [8]byte
	binary.LittleEndian.PutUint64(buf[:], x)
	copy(b, buf[:])
}

// mapHandle returns the value that represents a map in a program. It is not the address
// of an object.
func (mc *Machine) mapHandle(m *ir.Map) uint64 {
	return 1<<63 | mc.Maps[m].handle()
}

func (s *MapState) handle() uint64 {
	h := uint64(14695981039346656037)
	for _, c := range []byte(s.Map.Name) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// MapOf returns the map for a handle that was passed to a helper.
func (mc *Machine) MapOf(handle uint64) *MapState {
	for m, s := range mc.Maps {
		if mc.mapHandle(m) == handle {
			return s
		}
	}
	return nil
}

func (mc *Machine) helper(h *ir.Helper, args []uint64) (uint64, error) {
	errno := func(n int64) uint64 { return uint64(-n) }
	switch h {
	case ir.MapLookup, ir.MapUpdate, ir.MapDelete:
		s := mc.MapOf(args[0])
		if s == nil {
			return 0, errors.New("not a map")
		}
		key, err := mc.Mem(args[1], s.Map.KeySize)
		if err != nil {
			return 0, err
		}
		addr, found := s.Values[string(key)]
		array := s.Map.Type == ir.Array || s.Map.Type == ir.PerCPUArray
		switch h {
		case ir.MapLookup:
			return addr, nil
		case ir.MapDelete:
			switch {
			case array:
				return errno(22), nil
			case !found:
				return errno(2), nil
			}
			delete(s.Values, string(key))
			return 0, nil
		}
		val, err := mc.Mem(args[2], s.Map.ValueSize)
		if err != nil {
			return 0, err
		}
		switch flags := args[3]; {
		case flags > 2:
			return errno(22), nil
		case found && flags == 1:
			return errno(17), nil
		case !found && (array || flags == 2):
			return errno(map[bool]int64{true: 7, false: 2}[array]), nil
		case !found && len(s.Values) >= max(s.Map.MaxEntries, 1):
			return errno(7), nil
		case array:
			dst, err := mc.Mem(addr, s.Map.ValueSize)
			if err != nil {
				return 0, err
			}
			copy(dst, val)
		default: // a hash map's update replaces the element
			s.Values[string(key)] = mc.Alloc(append([]byte(nil), val...))
		}
		return 0, nil
	case ir.RingReserve:
		return mc.Alloc(make([]byte, args[1])), nil
	case ir.RingSubmit, ir.RingDiscard:
		return 0, nil
	case ir.ReadKernel:
		dst, err := mc.Mem(args[0], int(args[1]))
		if err != nil {
			return 0, err
		}
		src, err := mc.Mem(args[2], int(args[1]))
		if err != nil {
			clear(dst)
			return errno(14), nil
		}
		copy(dst, src)
		return 0, nil
	case ir.Loop:
		for i := range args[0] {
			r, err := mc.Call(mc.prog.Subs[args[1]], i, args[2])
			if err != nil {
				return 0, err
			}
			if r != 0 {
				return i + 1, nil
			}
		}
		return args[0], nil
	}
	if mc.Helpers == nil {
		return 0, fmt.Errorf("ir: helper %s has no model", h.Name)
	}
	return mc.Helpers.Call(mc, h, args)
}
