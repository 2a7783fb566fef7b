package lower

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/codegen/plan"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// tables holds the kernel maps in addition to those of the script, which are created
// when they are first used, and their contents.
type tables struct {
	ring, sites, rodata, sample *ir.Map
	follow, state               *ir.Map // of --follow
	unread                      *ir.Map // numbers of strings to read again: see retry.go
	unreadAt                    map[*plan.Retry]*ir.Map

	varsMap  *ir.Map          // variables of programs with many branches
	literals map[string]int64 // bytes → offset in rodata
	zeros    []*ir.Value      // addresses of zeros, which are placed after all literals
	zeroLen  int
	siteIDs  map[object.Site]int
	events   map[*builtins.Call]int
}

func newTables() tables {
	return tables{
		literals: map[string]int64{},
		siteIDs:  map[object.Site]int{}, unreadAt: map[*plan.Retry]*ir.Map{}, events: map[*builtins.Call]int{},
	}
}

//go:noinline
func (u *shared) newMap(m ir.Map) *ir.Map {
	u.res.Module.Maps = append(u.res.Module.Maps, &m)
	return &m
}

// array returns the array map of one element in *m, which it creates if necessary. Its
// value grows as it is used.
//
//go:noinline
func (u *shared) array(m **ir.Map, name string) *ir.Map {
	if *m == nil {
		*m = u.newMap(ir.Map{Name: name, Type: ir.Array, KeySize: 4, MaxEntries: 1})
	}
	return *m
}

func (u *shared) ringMap() *ir.Map {
	if u.ring == nil {
		u.ring = u.newMap(ir.Map{Name: object.RingMap, Type: ir.RingBuf})
	}
	return u.ring
}

// literal returns the offset of constant bytes in rodata. Each literal starts at a
// multiple of 8 and is padded with zeros.
func (u *shared) literal(data string) int64 {
	off, ok := u.literals[data]
	if !ok {
		m := u.array(&u.rodata, object.RodataMap)
		m.Frozen = true
		off = int64(len(m.Contents))
		m.Contents = append(m.Contents, data...)
		m.Contents = append(m.Contents, make([]byte, types.RoundUp(len(data), 8)-len(data))...)
		m.ValueSize = len(m.Contents)
		u.literals[data] = off
	}
	return off
}

// finish completes the data that depends on the whole script.
func (u *shared) finish() {
	if u.zeroLen > 0 {
		m := u.rodata
		off := len(m.Contents)
		m.Contents = append(m.Contents, make([]byte, types.RoundUp(u.zeroLen, 8))...)
		m.ValueSize = len(m.Contents)
		for _, v := range u.zeros {
			v.Imm = int64(off)
		}
	}
	if m := u.rodata; m != nil && m.Margin > 0 { // the kernel zeroes the rest of the value
		m.ValueSize = max(m.ValueSize, len(m.Contents)+types.RoundUp(m.Margin, 8))
	}
	if u.sites != nil {
		u.sites.ValueSize = 8 * len(u.res.Sites)
	}
}

// site returns the number of the counter for failures at s.
func (u *shared) site(kind object.SiteKind, s source.Span, what string) int {
	key := object.Site{Kind: kind, Span: s, What: what}
	id, ok := u.siteIDs[key]
	if !ok {
		id = len(u.res.Sites)
		u.siteIDs[key] = id
		u.res.Sites = append(u.res.Sites, key)
	}
	return id
}

// Count adds one to a site's counter. The current block is a failure path.
//
//go:noinline
func (f *fn) Count(kind object.SiteKind, s source.Span, what string) { f.countBy(1, kind, s, what) }

// countBy adds n to a site's counter. The current block is a failure path.
func (f *fn) countBy(n int64, kind object.SiteKind, s source.Span, what string) {
	m := f.array(&f.sites, object.SiteMap)
	id := f.site(kind, s, what)
	m.ValueSize = 8 * len(f.res.Sites)
	if f.b.Cur != nil {
		f.b.Cur.Unlikely = true
	}
	f.b.AtomicAdd(f.b.MapValue(m, int64(8*id)), 0, 8, f.b.Const(n))
}

// Rodata returns the address of constant bytes.
func (f *fn) Rodata(data []byte) *ir.Value {
	off := f.literal(string(data))
	return f.b.MapValue(f.rodata, off)
}

// Zeros returns the address of n zero bytes.
func (f *fn) Zeros(n int) *ir.Value {
	m := f.array(&f.rodata, object.RodataMap)
	m.Frozen = true
	v := f.b.MapValue(m, 0)
	f.zeros = append(f.zeros, v)
	f.zeroLen = max(f.zeroLen, n)
	return v
}
