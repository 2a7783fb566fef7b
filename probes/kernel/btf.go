package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"sort"
	"strings"
	"sync"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/outline"
)

// The kinds of BTF types, as in the kernel's uapi/linux/btf.h.
const (
	kindInt       = 1
	kindPtr       = 2
	kindArray     = 3
	kindStruct    = 4
	kindUnion     = 5
	kindEnum      = 6
	kindFwd       = 7
	kindTypedef   = 8
	kindVolatile  = 9
	kindConst     = 10
	kindRestrict  = 11
	kindFunc      = 12
	kindFuncProto = 13
	kindVar       = 14
	kindDatasec   = 15
	kindFloat     = 16
	kindDeclTag   = 17
	kindTypeTag   = 18
	kindEnum64    = 19
)

// blob is the BTF of vmlinux or of a module. IDs and string offsets of a module
// continue those of vmlinux.
//
// The first lookup of a type builds an index of the offsets of all types in one pass.
// Names are looked up by a search of the string section, which is fast for a few names.
// After linearLookups of them, a hash table of type names and a table of strings are
// used.
type blob struct {
	module  string
	base    *blob
	types   []byte
	strs    []byte
	firstID uint32
	strBase uint32
	order   binary.ByteOrder

	index   lazy.Value[[]uint32] // offset in types of each type, by id-firstID
	mu      sync.Mutex
	lookups int
	chains  *nameChains
	asked   int // number of lookups of strings
	offsets map[string]uint32
	conv    map[uint32]*types.Type
	funcs   prototypes
}

const linearLookups = 16

func newBlob(module string, data []byte, base *blob) (*blob, error) {
	bad := func(what string) error { return outline.Errorf("BTF of %s: %s", module, what) }
	if len(data) < 24 {
		return nil, bad("too short")
	}
	b := &blob{module: module, base: base, order: binary.LittleEndian, conv: map[uint32]*types.Type{}, funcs: prototypes{}}
	switch {
	case data[0] == 0x9f && data[1] == 0xeb:
	case data[0] == 0xeb && data[1] == 0x9f:
		b.order = binary.BigEndian
	default:
		return nil, bad("wrong magic number")
	}
	u32 := func(off int) uint64 { return uint64(b.order.Uint32(data[off:])) }
	hdr, typeOff, typeLen, strOff, strLen := u32(4), u32(8), u32(12), u32(16), u32(20)
	if hdr+typeOff+typeLen > uint64(len(data)) || hdr+strOff+strLen > uint64(len(data)) {
		return nil, bad("sections reach beyond its end")
	}
	b.types = data[hdr+typeOff:][:typeLen]
	b.strs = data[hdr+strOff:][:strLen]
	b.firstID = 1
	if base != nil {
		b.firstID = base.firstID + uint32(len(base.index.Get()))
		b.strBase = base.strBase + uint32(len(base.strs))
	}
	if len(b.strs) == 0 || b.strs[len(b.strs)-1] != 0 {
		return nil, bad("strings do not end")
	}
	b.index.New = b.scan
	return b, nil
}

// raw is a type's fixed part and the data after it.
type raw struct {
	name     uint32
	kind     int
	vlen     int
	flag     bool
	size     uint32 // or the id of the type referred to
	extra    []byte
	fromBlob *blob
}

// extraSize returns the number of bytes after the fixed part.
func extraSize(kind, vlen int) int {
	switch kind {
	case kindInt, kindVar, kindDeclTag:
		return 4
	case kindArray:
		return 12
	case kindStruct, kindUnion, kindEnum64, kindDatasec:
		return 12 * vlen
	case kindEnum, kindFuncProto:
		return 8 * vlen
	}
	return 0
}

// scan returns the offset of each type. It stops at a type of unknown kind, as the size
// of that type is not known.
func (b *blob) scan() []uint32 {
	offs := make([]uint32, 0, len(b.types)/28)
	for off := 0; off+12 <= len(b.types); {
		info := b.order.Uint32(b.types[off+4:])
		kind, vlen := int(info>>24&0x1f), int(info&0xffff)
		if kind == 0 || kind > kindEnum64 {
			break
		}
		next := off + 12 + extraSize(kind, vlen)
		if next > len(b.types) {
			break
		}
		offs = append(offs, uint32(off))
		off = next
	}
	return offs
}

// raw reads a type of this blob or its base. ok is false if there is none.
func (b *blob) raw(id uint32) (raw, bool) {
	if id < b.firstID {
		if b.base == nil {
			return raw{}, false
		}
		return b.base.raw(id)
	}
	index := b.index.Get()
	i := int(id - b.firstID)
	if i >= len(index) {
		return raw{}, false
	}
	t := b.types[index[i]:]
	info := b.order.Uint32(t[4:])
	r := raw{name: b.order.Uint32(t), kind: int(info >> 24 & 0x1f), vlen: int(info & 0xffff), flag: info>>31 != 0, size: b.order.Uint32(t[8:]), fromBlob: b}
	r.extra = t[12 : 12+extraSize(r.kind, r.vlen)]
	return r, true
}

// str returns the string at an offset.
func (b *blob) str(off uint32) string {
	if off < b.strBase {
		if b.base == nil {
			return ""
		}
		return b.base.str(off)
	}
	off -= b.strBase
	if int(off) >= len(b.strs) {
		return ""
	}
	s := b.strs[off:]
	return string(s[:bytes.IndexByte(s, 0)])
}

// strAt returns the offset of a string. A blob contains each string once.
func (b *blob) strAt(name string) (uint32, bool) {
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return 0, false
	}
	if b.base != nil {
		if off, ok := b.base.strAt(name); ok {
			return off, true
		}
	}
	b.mu.Lock()
	b.asked++
	if b.asked > linearLookups && b.offsets == nil {
		b.offsets = b.tabulate()
	}
	offsets := b.offsets
	b.mu.Unlock()
	if offsets != nil {
		off, ok := offsets[name]
		return b.strBase + off, ok
	}
	pat := make([]byte, 0, len(name)+2)
	pat = append(pat, 0)
	pat = append(pat, name...)
	pat = append(pat, 0)
	i := bytes.Index(b.strs, pat)
	if i < 0 {
		return 0, false
	}
	return b.strBase + uint32(i) + 1, true
}

// tabulate returns the offset of each string.
func (b *blob) tabulate() map[string]uint32 {
	all := string(b.strs)
	offsets := make(map[string]uint32, len(all)/16)
	for start := 0; start < len(all); {
		name := all[start : start+strings.IndexByte(all[start:], 0)]
		if _, twice := offsets[name]; !twice {
			offsets[name] = uint32(start)
		}
		start += len(name) + 1
	}
	return offsets
}

// mentions reports whether a type, member or constant has a name.
func (b *blob) mentions(name string) bool { _, ok := b.strAt(name); return ok }

// find returns the ID of this blob's type with a name and one of the given kinds, or
// 0. It does not search the base.
func (b *blob) find(name string, kinds ...int) uint32 {
	index := b.index.Get()
	b.mu.Lock()
	b.lookups++
	if b.lookups > linearLookups && b.chains == nil {
		b.chains = b.chainNames(index)
	}
	chains := b.chains
	b.mu.Unlock()
	if chains != nil {
		for i := chains.first(name); i >= 0; i = chains.next[i] {
			t := b.types[index[i]:]
			if isKind(int(b.order.Uint32(t[4:])>>24&0x1f), kinds) && b.str(b.order.Uint32(t)) == name {
				return b.firstID + uint32(i)
			}
		}
		return 0
	}
	off, ok := b.strAt(name)
	if !ok {
		return 0
	}
	for i, at := range index {
		t := b.types[at:]
		if b.order.Uint32(t) == off && isKind(int(b.order.Uint32(t[4:])>>24&0x1f), kinds) {
			return b.firstID + uint32(i)
		}
	}
	return 0
}

func isKind(kind int, kinds []int) bool {
	for _, k := range kinds {
		if k == kind {
			return true
		}
	}
	return false
}

// nameChains is a hash table of type names. The types in a bucket are linked.
type nameChains struct {
	heads []int32
	next  []int32
}

func (b *blob) chainNames(index []uint32) *nameChains {
	size := 1
	for size < len(index) {
		size *= 2
	}
	c := &nameChains{heads: make([]int32, size), next: make([]int32, len(index))}
	for i := range c.heads {
		c.heads[i] = -1
	}
	// Go backwards, so that a chain lists types in the order of their IDs.
	for i := len(index) - 1; i >= 0; i-- {
		name := b.order.Uint32(b.types[index[i]:])
		if name == 0 {
			continue
		}
		h := hashName(b.str(name)) & uint32(size-1)
		c.next[i], c.heads[h] = c.heads[h], int32(i)
	}
	return c
}

func (c *nameChains) first(name string) int32 {
	if len(c.heads) == 0 {
		return -1
	}
	return c.heads[hashName(name)&uint32(len(c.heads)-1)]
}

// hashName returns the FNV-1a hash of a name.
func hashName(s string) uint32 {
	h := uint32(2166136261)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

// btfSet is the BTF of vmlinux and of the modules. The latter is loaded when a name
// is not found in the former.
type btfSet struct {
	vmlinux *blob
	modules lazy.Value[[]*blob]
}

func loadBTF(src source) (*btfSet, error) {
	data, err := src.read("btf/vmlinux")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoBTF
	} else if err != nil {
		return nil, outline.Errorf("the kernel's BTF cannot be read: %w", err)
	}
	b, err := newBlob("vmlinux", data, nil)
	if err != nil {
		return nil, err
	}
	s := &btfSet{vmlinux: b}
	s.modules.New = func() []*blob {
		names, err := src.list("btf")
		if err != nil {
			return nil
		}
		sort.Strings(names)
		var list []*blob
		for _, name := range names {
			if name == "vmlinux" {
				continue
			}
			// A module may be unloaded at any time.
			data, err := src.read("btf/" + name)
			if err != nil {
				continue
			}
			if m, err := newBlob(name, data, b); err == nil {
				list = append(list, m)
			}
		}
		return list
	}
	return s, nil
}

// each calls f for vmlinux and then for the modules until f returns true. If module
// is not "", it calls f only for that one.
func (s *btfSet) each(module string, f func(*blob) bool) {
	if module == "" || module == "vmlinux" {
		if f(s.vmlinux) || module != "" {
			return
		}
	}
	for _, m := range s.modules.Get() {
		if (module == "" || m.module == module) && f(m) {
			return
		}
	}
}

// splitName splits "struct foo" into kinds and a name.
func splitName(name string) (kinds []int, bare string) {
	word, rest, ok := strings.Cut(name, " ")
	if ok {
		switch word {
		case "struct":
			return []int{kindStruct}, strings.TrimSpace(rest)
		case "union":
			return []int{kindUnion}, strings.TrimSpace(rest)
		case "enum":
			return []int{kindEnum, kindEnum64}, strings.TrimSpace(rest)
		}
	}
	return []int{kindTypedef, kindInt, kindFloat}, name
}

func (s *btfSet) lookup(name string) (*blob, uint32) {
	kinds, bare := splitName(name)
	var in *blob
	var id uint32
	s.each("", func(b *blob) bool {
		in, id = b, b.find(bare, kinds...)
		return id != 0
	})
	return in, id
}

func (s *btfSet) typeByName(name string) (*types.Type, error) {
	in, id := s.lookup(name)
	if id == 0 {
		return nil, outline.Errorf("type %s: %w", name, ErrNotFound)
	}
	return in.typ(id), nil
}

func (s *btfSet) typeNames(kind string) []string {
	kinds := map[string][]int{"struct": {kindStruct}, "union": {kindUnion}, "enum": {kindEnum, kindEnum64}, "typedef": {kindTypedef}}[kind]
	prefix := kind + " "
	if kind == "typedef" {
		prefix = ""
	}
	var list []string
	s.each("", func(b *blob) bool {
		for i := range b.index.Get() {
			if r, _ := b.raw(b.firstID + uint32(i)); r.name != 0 && isKind(r.kind, kinds) {
				list = append(list, prefix+b.str(r.name))
			}
		}
		return false
	})
	return sortUnique(list)
}

func (s *btfSet) enumConst(name string) (val int64, t *types.Type, ok bool) {
	s.each("", func(b *blob) bool {
		off, found := b.strAt(name)
		if !found {
			return false
		}
		for i := range b.index.Get() {
			id := b.firstID + uint32(i)
			r, _ := b.raw(id)
			if r.kind != kindEnum && r.kind != kindEnum64 {
				continue
			}
			step := len(r.extra) / max(r.vlen, 1)
			for j := 0; j < r.vlen; j++ {
				if b.order.Uint32(r.extra[j*step:]) == off {
					val, t, ok = r.enumValue(j), b.typ(id), true
					return true
				}
			}
		}
		return false
	})
	return val, t, ok
}

// enumValue returns the value of constant j, extended to 64 bits.
func (r *raw) enumValue(j int) int64 {
	o := r.fromBlob.order
	if r.kind == kindEnum64 {
		return int64(uint64(o.Uint32(r.extra[12*j+4:])) | uint64(o.Uint32(r.extra[12*j+8:]))<<32)
	}
	return int64(int32(o.Uint32(r.extra[8*j+4:])))
}

// iterators returns the NAME of each type bpf_iter__NAME for which the kernel also has
// the function.
func (s *btfSet) iterators() []string {
	const prefix = "bpf_iter__"
	b := s.vmlinux
	var list []string
	for i := range b.index.Get() {
		r, _ := b.raw(b.firstID + uint32(i))
		if r.kind != kindStruct || r.name == 0 {
			continue
		}
		if name, ok := strings.CutPrefix(b.str(r.name), prefix); ok && b.find("bpf_iter_"+name, kindFunc) != 0 {
			list = append(list, name)
		}
	}
	return sortUnique(list)
}

// rawTracepoints returns the NAME of each typedef btf_trace_NAME.
func (s *btfSet) rawTracepoints() []string {
	const prefix = "btf_trace_"
	var list []string
	s.each("", func(b *blob) bool {
		for i := range b.index.Get() {
			r, _ := b.raw(b.firstID + uint32(i))
			if r.kind != kindTypedef || r.name == 0 {
				continue
			}
			if name, ok := strings.CutPrefix(b.str(r.name), prefix); ok {
				list = append(list, b.module+":"+name)
			}
		}
		return false
	})
	return sortUnique(list)
}
