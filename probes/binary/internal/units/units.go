// Package units reads the parts of DWARF that describe the code at an address: the
// functions of each unit, the copies of functions that were inlined into them, and the
// source lines. It reads DWARF 2 to 5 and GNU's split DWARF, in any of the files that may
// hold them.
//
// A unit is read when one of its addresses is looked up. Units are kept until they take
// maxLoaded bytes. Then all of them are dropped and read again as needed.
//
// Debug information may be damaged or hostile. Results may then be missing or wrong, but
// time and memory stay linear in its size.
package units

import (
	"encoding/binary"
	"sort"

	"github.com/gotrace/gotrace/runtime/cursor"
	"github.com/gotrace/gotrace/runtime/sorted"
)

// Sections are the sections of a file that hold DWARF, uncompressed.
type Sections struct {
	Info, Abbrev, Str, LineStr, Line, Addr, StrOffsets, Rnglists, Ranges []byte
	// Types is .debug_types, of DWARF 4. New appends it to Info, so that an offset
	// identifies an entry.
	Types []byte
	// Sections that are in the same file, but are not read by this package: locations,
	// and the indexes of a package.
	Loc, Loclists, CUIndex, TUIndex []byte

	Order binary.ByteOrder
}

// Data is the DWARF of one file.
type Data struct {
	Sections
	// Alt returns the file with the data that several files share (.gnu_debugaltlink),
	// or nil. Alt may be nil itself.
	Alt func() *Data
	// Split returns the unit that completes a skeleton, or nil. Split may be nil
	// itself.
	Split func(skeleton *Unit) *Unit

	signed map[uint64]uint64 // signatures of types → offsets of their entries

	units  []*Unit // in order of their offsets
	spans  []span  // sorted by lo
	done   bool    // units and spans are known
	loaded int     // memory that the units take, in bytes

	altDone bool
	altData *Data
}

// span is a range of addresses of a unit.
type span struct {
	lo, hi uint64
	unit   *Unit
}

// maxLoaded is the maximum memory for data read from one file, in bytes.
const maxLoaded = 64 << 20

// Unit is a compilation unit.
type Unit struct {
	d          *Data
	start, end uint64 // in .debug_info
	entries    uint64 // offset of its first entry
	abbrevOff  uint64
	version    uint64
	is64       bool
	addrSize   uint64
	kind       uint64 // DWARF 5: one of the unit types

	rooted      bool // root and the bases were read
	root        entry
	DwoID       uint64
	addrs       []byte // .debug_addr, of the skeleton if the unit is split
	addrBase    uint64
	strBase     uint64
	rnglistBase uint64
	rangesBase  uint64
	low         uint64 // base address of its range lists
	skeleton    *Unit  // of a unit that completes another one

	splitDone bool
	split     *Unit
	abbrevs   *abbrevs
	code      *code  // nil: not read
	lines     *lines // nil: not read
}

// New returns the DWARF of a file. Without a section Types it does not read anything yet.
//
//go:noinline
func New(s Sections) *Data {
	d := &Data{Sections: s, signed: map[uint64]uint64{}}
	if len(s.Types) > 0 {
		d.joinTypes()
	}
	return d
}

// AltData returns the file with the data that several files share, or nil.
//
//go:noinline
func (d *Data) AltData() *Data {
	if !d.altDone {
		d.altDone = true
		if d.Alt != nil {
			d.altData = d.Alt()
		}
	}
	return d.altData
}

// grow adds to the memory that the units take. If it exceeds maxLoaded, grow releases
// all of it.
//
//go:noinline
func (d *Data) grow(n int) {
	if d.loaded += n; d.loaded > maxLoaded {
		for _, u := range d.units {
			u.abbrevs, u.code, u.lines = nil, nil, nil
		}
		d.loaded = n
	}
}

// Units returns all compilation units.
func (d *Data) Units() []*Unit {
	d.index()
	return d.units
}

// index finds the units and their addresses.
func (d *Data) index() {
	if d.done {
		return
	}
	d.done = true
	r := cursor.Cursor{Data: d.Info, Order: d.Order}
	for len(d.units) < maxUnits && r.At < uint64(len(d.Info)) {
		u := d.header(&r)
		if u == nil {
			break
		}
		r.At = u.end
		d.units = append(d.units, u)
		if u.kind == kindType || u.kind == kindSplitType || !u.readRoot() {
			continue
		}
		for _, s := range u.rangesOf(&u.root) {
			d.spans = append(d.spans, span{s[0], s[1], u})
		}
	}
	sorted.By(d.spans, func(s *span) uint64 { return s.lo })
}

// Unit types of DWARF 5.
const (
	kindCompile      = 1
	kindType         = 2
	kindSkeleton     = 4
	kindSplitCompile = 5
	kindSplitType    = 6
)

// header reads the header of the unit at the reader's position. It returns nil if there
// is none.
func (d *Data) header(r *cursor.Cursor) *Unit {
	u := &Unit{d: d, start: r.At, addrs: d.Addr}
	n := r.U32()
	if n == 0xffffffff {
		n, u.is64 = r.U64(), true
	}
	if r.Bad || n > uint64(len(d.Info))-r.At {
		return nil
	}
	u.end = r.At + n
	u.version = r.U16()
	if u.version >= 5 {
		u.kind, u.addrSize = r.U8(), r.U8()
		u.abbrevOff = r.Offset(u.is64)
		switch u.kind {
		case kindSkeleton, kindSplitCompile:
			u.DwoID = r.U64()
		case kindType, kindSplitType:
			sig := r.U64()
			d.sign(sig, u, r.Offset(u.is64))
		}
		if u.kind == kindSplitCompile || u.kind == kindSplitType {
			u.strBase = contributionHeader(u.is64)
		}
	} else {
		u.abbrevOff = r.Offset(u.is64)
		u.addrSize = r.U8()
	}
	u.entries = r.At
	if r.Bad || u.entries > u.end || u.version < 2 || u.version > 5 {
		u.entries = u.end // it has no entries that can be read
	}
	return u
}

// readRoot reads the entry of the unit itself. It reports whether the unit contains
// code.
func (u *Unit) readRoot() bool {
	u.rooted = true
	if u.entries == u.end {
		return false
	}
	// Read only the abbreviation that the entry uses.
	r := cursor.Cursor{Data: u.d.Info[:u.end], Order: u.d.Order, At: u.entries}
	u.abbrevs = u.d.readAbbrevs(u.abbrevOff, r.Uleb())
	ok := u.read(u.entries, &u.root)
	u.abbrevs = nil
	e := &u.root
	if !ok {
		return false
	}
	u.addrBase, u.rnglistBase, u.rangesBase = e.addrBase.n, e.rnglistBase.n, e.rangesBase.n
	if e.strBase.form != 0 {
		u.strBase = e.strBase.n
	}
	if e.tag != tagCompileUnit && e.tag != tagSkeletonUnit {
		return false
	}
	if e.dwoID.form != 0 {
		u.DwoID = e.dwoID.n
	}
	u.low, _ = u.addr(e.low)
	if u.low == 0 {
		u.low, _ = u.addr(e.entryPC)
	}
	return true
}

// Complete makes u, a unit of a split file, the completion of a skeleton.
func (u *Unit) Complete(skeleton *Unit) {
	u.skeleton = skeleton
	u.addrs, u.addrBase, u.low = skeleton.addrs, skeleton.addrBase, skeleton.low
	if u.version >= 5 {
		u.strBase = contributionHeader(u.is64)
		u.rnglistBase = u.strBase + 4
		return
	}
	u.strBase, u.rangesBase = 0, skeleton.rangesBase
	u.d.Ranges = skeleton.d.Ranges
}

// contributionHeader returns the size of the header of .debug_str_offsets, in bytes. A
// split file has one header, at the start of the section.
func contributionHeader(is64 bool) uint64 {
	if is64 {
		return 16
	}
	return 8
}

// DwoName returns the name of the file that completes a skeleton, and the directory
// that a relative name starts from.
func (u *Unit) DwoName() (name, dir string) {
	return u.text(u.root.dwoName), u.text(u.root.compDir)
}

// Skeleton returns the unit that u completes, or nil.
func (u *Unit) Skeleton() *Unit { return u.skeleton }

// AddrBase returns the offset of the unit's addresses in its .debug_addr.
func (u *Unit) AddrBase() uint64 { return u.addrBase }

// Low returns the base address of the unit's range lists.
func (u *Unit) Low() uint64 { return u.low }

// Root returns the offset of the unit's own entry.
func (u *Unit) Root() uint64 { return u.entries }

// Data returns the file that contains the unit.
func (u *Unit) Data() *Data { return u.d }

// Version returns the version of DWARF of the unit.
func (u *Unit) Version() int { return int(u.version) }

// Is64 reports whether offsets in the unit have 64 bits.
func (u *Unit) Is64() bool { return u.is64 }

// Whole returns the unit that contains the entries of u: another one if u is a skeleton.
// It returns nil if that unit cannot be found.
func (u *Unit) Whole() *Unit {
	if u.root.dwoName.form == 0 || u.skeleton != nil {
		return u
	}
	if !u.splitDone {
		u.splitDone = true
		if u.d.Split != nil {
			u.split = u.d.Split(u)
		}
	}
	return u.split
}

// At returns the unit whose code contains an address, or nil.
func (d *Data) At(pc uint64) *Unit {
	d.index()
	i := sort.Search(len(d.spans), func(i int) bool { return d.spans[i].lo > pc })
	// Ranges of units overlap only by mistake, so try only a few.
	for n := 0; i > 0 && n < 8; n++ {
		i--
		if pc < d.spans[i].hi {
			return d.spans[i].unit
		}
	}
	return nil
}

// unitAt returns the unit that contains an offset of .debug_info, or nil.
func (d *Data) unitAt(off uint64) *Unit {
	d.index()
	i := sort.Search(len(d.units), func(i int) bool { return d.units[i].start > off }) - 1
	if i < 0 || off >= d.units[i].end {
		return nil
	}
	return d.units[i]
}

// rangesOf returns the ranges of an entry's code, without those of code that the linker
// removed.
func (u *Unit) rangesOf(e *entry) [][2]uint64 {
	var out [][2]uint64
	add := func(lo, hi uint64) {
		// A linker uses 0, 1, -1 or -2 as the address of code that it removed.
		if lo > 1 && lo < hi && hi < ^uint64(1) {
			out = append(out, [2]uint64{lo, hi})
		}
	}
	if lo, ok := u.addr(e.low); ok && e.high.form != 0 {
		hi, ok := u.addr(e.high)
		if !ok {
			hi = lo + e.high.n
		}
		add(lo, hi)
	}
	switch {
	case e.ranges.form == 0:
	case u.version >= 5:
		off := e.ranges.n
		if e.ranges.form == formRnglistx {
			size := uint64(4)
			if u.is64 {
				size = 8
			}
			if off > uint64(len(u.d.Rnglists)) {
				break
			}
			r := cursor.Cursor{Data: u.d.Rnglists, Order: u.d.Order, At: u.rnglistBase + off*size}
			off = u.rnglistBase + r.Offset(u.is64)
			if r.Bad {
				break
			}
		}
		u.rnglist(off, add)
	default:
		r := cursor.Cursor{Data: u.d.Ranges, Order: u.d.Order, At: u.rangesBase + e.ranges.n}
		base := u.low
		if u.skeleton == nil && u.root.dwoName.form != 0 {
			r.At = e.ranges.n // the base is for the completing unit
		}
		for n := 0; n < maxRangesOfScope; n++ {
			lo, hi := r.U64(), r.U64()
			if r.Bad || lo == 0 && hi == 0 {
				break
			}
			if lo == ^uint64(0) {
				base = hi
				continue
			}
			add(base+lo, base+hi)
		}
	}
	return out
}

// rnglist reads the ranges at an offset of .debug_rnglists.
func (u *Unit) rnglist(off uint64, add func(lo, hi uint64)) {
	base := u.low
	addrAt := func(i uint64) uint64 {
		a, _ := u.addrAt(i)
		return a
	}
	r := cursor.Cursor{Data: u.d.Rnglists, Order: u.d.Order, At: off}
	for n := 0; n < maxRangesOfScope && !r.Bad; n++ {
		switch r.U8() {
		case 0: // end_of_list
			return
		case 1: // base_addressx
			base = addrAt(r.Uleb())
		case 2: // startx_endx
			lo := addrAt(r.Uleb())
			add(lo, addrAt(r.Uleb()))
		case 3: // startx_length
			lo := addrAt(r.Uleb())
			add(lo, lo+r.Uleb())
		case 4: // offset_pair
			lo := base + r.Uleb()
			add(lo, base+r.Uleb())
		case 5: // base_address
			base = r.U64()
		case 6: // start_end
			lo := r.U64()
			add(lo, r.U64())
		case 7: // start_length
			lo := r.U64()
			add(lo, lo+r.Uleb())
		default:
			return
		}
	}
}
