package kernel

import (
	"fmt"
	"math"
	"strings"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/outline"
)

// maxDepth is the maximum length of a chain of references (typedef of pointer to array
// and so on). It ends the recursion in a damaged blob that refers to itself. Structs do
// not count, as their members are decoded when they are used.
const maxDepth = 32

// typ returns a type by its ID. Objects of the type are in kernel memory. typ always
// returns the same *types.Type for an ID.
func (b *blob) typ(id uint32) *types.Type {
	if id < b.firstID && b.base != nil {
		return b.base.typ(id)
	}
	b.mu.Lock()
	t := b.conv[id]
	b.mu.Unlock()
	if t == nil {
		t = b.convert(id, 0)
		b.mu.Lock()
		if old := b.conv[id]; old != nil {
			t = old
		} else {
			b.conv[id] = t
		}
		b.mu.Unlock()
	}
	return t
}

func (b *blob) convert(id uint32, depth int) *types.Type {
	r, ok := b.raw(id)
	if id == 0 || !ok || depth > maxDepth {
		return types.TVoid
	}
	if depth > 0 && (r.kind == kindStruct || r.kind == kindUnion || r.kind == kindEnum || r.kind == kindEnum64) {
		return b.typ(id) // so that the type is created once
	}
	in := r.fromBlob
	switch r.kind {
	case kindInt:
		return in.integer(&r, id)
	case kindPtr:
		space := types.Kernel
		if e, ok := b.raw(r.size); ok && e.kind == kindTypeTag && e.fromBlob.str(e.name) == "user" {
			space = types.User
		}
		elem := b.convert(r.size, depth+1)
		if space == types.User && (elem.Kind == types.Struct || elem.Kind == types.String || elem.Kind == types.Array || elem.Kind == types.Pointer) {
			elem = elem.InSpace(space)
		}
		return types.NewPointer(elem, space)
	case kindArray:
		elem := b.convert(in.order.Uint32(r.extra), depth+1)
		n := int(in.order.Uint32(r.extra[8:]))
		if elem.Kind == types.Int && elem.Name == "char" && n > 0 {
			return types.NewChars(n).InSpace(types.Kernel)
		}
		if elem.Kind == types.Void || uint64(n)*uint64(elem.Size) > 1<<31 {
			n = 0
		}
		return types.NewArray(elem, n).InSpace(types.Kernel)
	case kindStruct, kindUnion:
		union := r.kind == kindUnion
		t := &types.Type{Kind: types.Struct, Name: in.tagName(&r, id), Size: clampInt(uint64(r.size)), Space: types.Kernel, BTFID: id, Split: in.base != nil}
		t.Comp = types.NewComposite(union, func() []types.Field { return b.members(&r) })
		return t
	case kindFwd:
		return &types.Type{Kind: types.Struct, Name: in.tagName(&r, id), Space: types.Kernel, BTFID: id, Split: in.base != nil, Comp: types.NewComposite(r.flag, nil)}
	case kindEnum, kindEnum64:
		return in.enum(&r, id)
	case kindTypedef:
		t := b.convert(r.size, depth+1)
		if (t.Kind == types.Struct || t.Kind == types.Enum) && strings.HasSuffix(t.Name, anonymous) {
			named := *t
			named.Name = in.str(r.name)
			return &named
		}
		return t
	case kindVolatile, kindConst, kindRestrict, kindTypeTag:
		return b.convert(r.size, depth+1)
	case kindFloat:
		return types.NewArray(types.TUint8, clampInt(uint64(r.size))).InSpace(types.Kernel)
	}
	return types.TVoid // functions, and kinds that only linkers use
}

// anonymous is the suffix of the names of types that have none. The ID before it makes
// them unique.
const anonymous = " (anonymous)"

// tagName returns the C name of a struct, union or enum: "struct foo".
func (b *blob) tagName(r *raw, id uint32) string {
	word := "struct "
	switch {
	case r.kind == kindUnion, r.kind == kindFwd && r.flag:
		word = "union "
	case r.kind == kindEnum || r.kind == kindEnum64:
		word = "enum "
	}
	if r.name == 0 {
		return fmt.Sprintf("%s%d%s", word, id, anonymous)
	}
	return word + b.str(r.name)
}

func (b *blob) integer(r *raw, id uint32) *types.Type {
	const signed, boolean = 1, 4
	enc := b.order.Uint32(r.extra) >> 24 & 0xf
	size := int(r.size)
	switch {
	case enc&boolean != 0 && size == 1:
		return types.TBool
	case size == 16: // __int128: two words
		return types.NewArray(types.TUint64, 2).InSpace(types.Kernel)
	case size != 1 && size != 2 && size != 4 && size != 8:
		return types.NewArray(types.TUint8, clampInt(uint64(r.size))).InSpace(types.Kernel)
	}
	name := b.str(r.name)
	return &types.Type{Kind: types.Int, Name: name, Size: size, Signed: enc&signed != 0 || name == "char", BTFID: id}
}

func (b *blob) enum(r *raw, id uint32) *types.Type {
	t := &types.Type{Kind: types.Enum, Name: b.tagName(r, id), Size: int(r.size), Signed: r.flag, BTFID: id}
	if t.Size != 1 && t.Size != 2 && t.Size != 4 && t.Size != 8 {
		t.Size = 4
	}
	def := &types.EnumDef{Values: make([]types.EnumValue, r.vlen)}
	step := len(r.extra) / max(r.vlen, 1)
	for j := range def.Values {
		v := r.enumValue(j)
		def.Values[j] = types.EnumValue{Name: b.str(b.order.Uint32(r.extra[j*step:])), Value: v}
		// Kernels before 6.0 do not record which enums are signed.
		if v < 0 && r.kind == kindEnum && v > -1<<16 {
			t.Signed = true
		}
	}
	if !t.Signed && r.kind == kindEnum {
		for j := range def.Values {
			def.Values[j].Value = int64(uint32(def.Values[j].Value))
		}
	}
	t.Consts = def
	return t
}

// members returns the members of a struct or union.
func (b *blob) members(r *raw) []types.Field {
	in := r.fromBlob
	fields := make([]types.Field, 0, r.vlen)
	for j := 0; j < r.vlen; j++ {
		m := r.extra[12*j:]
		bitOff, width := in.order.Uint32(m[8:]), 0
		id := in.order.Uint32(m[4:])
		if r.flag {
			bitOff, width = bitOff&0xffffff, int(bitOff>>24)
		}
		f := types.Field{Name: in.str(in.order.Uint32(m)), Type: b.typ(id)}
		f.Off = int(bitOff / 8)
		if width == 0 && !r.flag {
			width = b.oldBitfield(id, &bitOff)
		}
		if width > 0 && f.Type.IsInteger() {
			f = bitfield(f, int(bitOff), width)
		}
		fields = append(fields, f)
	}
	return fields
}

// oldBitfield returns the width of a bitfield in the encoding that stores it in the
// member's int type, or 0 if the member is not a bitfield. It adds the offset in the
// int to bitOff.
func (b *blob) oldBitfield(id uint32, bitOff *uint32) int {
	for range maxDepth {
		r, ok := b.raw(id)
		if !ok {
			return 0
		}
		switch r.kind {
		case kindTypedef, kindVolatile, kindConst, kindRestrict, kindTypeTag:
			id = r.size
			continue
		case kindInt:
			enc := r.fromBlob.order.Uint32(r.extra)
			bits, off := int(enc&0xff), enc>>16&0xff
			if off == 0 && bits == int(r.size)*8 {
				return 0
			}
			*bitOff += off
			return bits
		}
		return 0
	}
	return 0
}

// bitfield returns f as a bitfield of width bits at bitOff of a struct. It is read from
// an object of the field's type at an aligned offset. If it crosses the end of that
// object, it is read from the smallest integer that starts at its first byte and
// contains it.
func bitfield(f types.Field, bitOff, width int) types.Field {
	bits := f.Type.Size * 8
	f.Off = bitOff / bits * f.Type.Size
	f.BitOff, f.BitSize = bitOff-f.Off*8, width
	if f.BitOff+width > bits {
		f.Off, f.BitOff = bitOff/8, bitOff%8
		size := f.Type.Size
		for size < 8 && f.BitOff+width > size*8 {
			size *= 2
		}
		f.Type = types.NewInt(size, f.Type.Signed)
	}
	return f
}

// params returns a prototype's parameters. Unnamed ones are called arg0, arg1 and so
// on. Offsets are those in the context of tracing programs, which consists of slots of
// 8 bytes.
func (b *blob) params(proto *raw, skip int) (fields []types.Field, ids []uint32, variadic bool) {
	in := proto.fromBlob
	off := 0
	for j := skip; j < proto.vlen; j++ {
		p := proto.extra[8*j:]
		name, id := in.str(in.order.Uint32(p)), in.order.Uint32(p[4:])
		if id == 0 && j == proto.vlen-1 {
			return fields, ids, true
		}
		if name == "" {
			name = fmt.Sprintf("arg%d", j-skip)
		}
		t := b.typ(id)
		fields = append(fields, types.Field{Name: name, Type: t, Off: off, Closed: b.closed(id)})
		// Structs passed by value take one or two slots.
		off += types.RoundUp(min(max(t.Size, 1), 16), 8)
		ids = append(ids, id)
	}
	return fields, ids, false
}

// closed reports whether the verifier refuses loads of a type from the context: it is a
// pointer to something other than a struct, an integer or void, such as a function or
// another pointer. Kernels up to 6.12 at least refuse const void * too. See btf_ctx_access.
func (b *blob) closed(id uint32) bool {
	r, ok := b.plain(id)
	if !ok || r.kind != kindPtr || r.size == 0 {
		return false
	}
	to, ok := b.plain(r.size)
	return !ok || to.kind != kindStruct && to.kind != kindUnion && to.kind != kindInt
}

// plain returns the type of id without typedefs and qualifiers. ok is false for void.
func (b *blob) plain(id uint32) (r raw, ok bool) {
	for range maxDepth {
		if r, ok = b.raw(id); !ok {
			return r, false
		}
		switch r.kind {
		case kindTypedef, kindVolatile, kindConst, kindRestrict, kindTypeTag:
			id, b = r.size, r.fromBlob
		default:
			return r, true
		}
	}
	return r, false
}

// prototypes are the results of named, by ID.
type prototypes map[uint32]*probes.FuncProto

// named returns the prototype of the FUNC id. A pattern looks up the prototype of each
// function several times, so each is built only once. Callers do not change it.
func (b *blob) named(id uint32) *probes.FuncProto {
	b.mu.Lock()
	p, ok := b.funcs[id]
	b.mu.Unlock()
	if !ok {
		p = b.function(id, 0)
		b.mu.Lock()
		b.funcs[id] = p
		b.mu.Unlock()
	}
	return p
}

// function returns the prototype of the FUNC id without its first skip parameters.
func (b *blob) function(id uint32, skip int) *probes.FuncProto {
	fn, ok := b.raw(id)
	if !ok || fn.kind != kindFunc {
		return nil
	}
	p := b.prototype(fn.size, skip)
	if p != nil {
		p.Name, p.ID = fn.fromBlob.str(fn.name), id
	}
	return p
}

func (b *blob) prototype(id uint32, skip int) *probes.FuncProto {
	r, ok := b.raw(id)
	if !ok || r.kind != kindFuncProto {
		return nil
	}
	p := &probes.FuncProto{Module: b.module, Result: b.typ(r.size)}
	var ids []uint32
	p.Params, ids, p.Variadic = b.params(&r, skip)
	p.Closed = b.closed(r.size)
	p.Decls = func() []string {
		lines := make([]string, 0, len(ids)+1)
		for i, id := range ids {
			lines = append(lines, b.declare(id, p.Params[i].Name, true))
		}
		return lines
	}
	p.ResultDecl = func() string { return b.declare(r.size, "retval", true) }
	return p
}

func (s *btfSet) funcProto(module, name string) (p *probes.FuncProto, err error) {
	s.each(module, func(b *blob) bool {
		if id := b.find(name, kindFunc); id != 0 {
			p = b.named(id)
		}
		return p != nil
	})
	if p == nil {
		if module != "" {
			name = module + ":" + name
		}
		return nil, outline.Errorf("function %s is not in BTF: %w", name, ErrNotFound)
	}
	return p, nil
}

// tracepointProto returns the prototype of a raw tracepoint. The names of arguments are
// those of the function that calls the tracepoint's probes, as the typedef to which
// programs attach has only types.
func (s *btfSet) tracepointProto(module, name string) (p *probes.FuncProto, err error) {
	s.each(module, func(b *blob) bool {
		td := b.find("btf_trace_"+name, kindTypedef)
		if td == 0 {
			return false
		}
		for _, prefix := range []string{"__traceiter_", "__probestub_", "__bpf_trace_"} {
			if id := b.find(prefix+name, kindFunc); id != 0 {
				if p = b.function(id, 1); p != nil {
					break
				}
			}
		}
		if p == nil {
			if r, ok := b.raw(td); ok {
				if ptr, ok := b.raw(r.size); ok && ptr.kind == kindPtr {
					p = b.prototype(ptr.size, 1)
				}
			}
		}
		if p != nil {
			p.Name, p.ID, p.Module, p.Result = name, td, b.module, types.TVoid
		}
		return p != nil
	})
	if p == nil {
		return nil, outline.Errorf("raw tracepoint %s is not in BTF: %w", name, ErrNotFound)
	}
	return p, nil
}

// clampInt limits a size from a damaged blob to the range of types.
func clampInt(n uint64) int { return int(min(n, math.MaxInt32)) }
