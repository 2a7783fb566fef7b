package cfi

import (
	"github.com/gotrace/gotrace/runtime/cursor"
	"github.com/gotrace/gotrace/runtime/sorted"
)

// A Section holds the contents of .eh_frame or .debug_frame.
type Section struct {
	Data  []byte
	Addr  uint64 // address at which the program maps it
	Debug bool   // .debug_frame
	// Pointers may be relative to these addresses: the start of .text, and that of
	// .eh_frame_hdr or the global offset table.
	Text, Base uint64
	// Arch is the machine that the code is for.
	Arch *Arch
}

// function is the information about a function: the range of its instructions and the
// byte code that describes it. It is executed after the byte code of its cie.
type function struct {
	start, end uint64
	from       uint64 // start, or where another function's rows end
	cie        *cie
	code       []byte
}

// cie is the information that several functions share.
type cie struct {
	codeAlign, dataAlign int64
	ra                   uint64 // number of the column with the return address
	encoding             byte   // of pointers
	augmented, signal    bool
	addrSize             int
	start                state // the rules at the start of each function
	err                  error
}

// Read executes the call frame information in s and adds its rows to t. If several
// functions contain an instruction, the first one's row counts. Rows that were read
// before an error are kept.
func (t *Rows) Read(s Section) error {
	list, err := s.functions()
	sorted.By(list, func(f *function) uint64 { return f.start })
	m := machine{arch: s.Arch, t: t}
	none := t.rule(Rule{})
	end := uint64(0) // of the rows so far
	for i := range list {
		f := &list[i]
		if f.start < end {
			if f.end <= end {
				continue
			}
			f.from = end
		}
		if len(t.List) > 0 {
			t.add(end, none)
		}
		if wrong := m.run(f); wrong != nil {
			if m.pc < f.end {
				t.add(max(m.pc, f.from), t.rule(Rule{Kind: Unknown}))
			}
			if err == nil {
				err = wrong
			}
		}
		end = f.end
	}
	if len(t.List) > 0 {
		t.add(end, none)
	}
	return err
}

// Fill adds the rows of other for addresses for which t has none.
func (t *Rows) Fill(other *Rows) {
	if len(other.List) == 0 {
		return
	}
	var merged Rows
	merged.index, merged.Rules = t.index, t.Rules
	none := merged.rule(Rule{})
	number := make([]uint16, len(other.Rules))
	for i, r := range other.Rules {
		number[i] = merged.rule(r)
	}
	i, j := 0, 0
	mine, theirs := none, none
	for i < len(t.List) || j < len(other.List) {
		var pc uint64
		switch {
		case j == len(other.List) || i < len(t.List) && t.List[i].PC <= other.List[j].PC:
			pc = t.List[i].PC
		default:
			pc = other.List[j].PC
		}
		for i < len(t.List) && t.List[i].PC == pc {
			mine = t.List[i].Rule
			i++
		}
		for j < len(other.List) && other.List[j].PC == pc {
			theirs = number[other.List[j].Rule]
			j++
		}
		r := mine
		if r == none {
			r = theirs
		}
		merged.add(pc, r)
	}
	*t = merged
}

// functions returns the functions that s describes, in its order.
func (s *Section) functions() ([]function, error) {
	var list []function
	cies := map[uint64]*cie{}
	for pos := uint64(0); ; {
		e, next, ok, err := s.entry(pos)
		if err != nil || !ok {
			return list, err
		}
		if e.isCIE {
			pos = next
			continue
		}
		c := cies[e.cieAt]
		if c == nil {
			c = s.readCIE(e.cieAt)
			cies[e.cieAt] = c
		}
		if c.err != nil {
			return list, c.err
		}
		f, err := s.readFunction(&e, c)
		if err != nil {
			return list, err
		}
		if f.end > f.start {
			list = append(list, f)
		}
		pos = next
	}
}

// entry is a record without its length: the data that follow the pointer to its cie.
type entry struct {
	r     cursor.Cursor
	isCIE bool
	cieAt uint64
}

// entry reads the record at pos. ok is false at the end of the section.
func (s *Section) entry(pos uint64) (e entry, next uint64, ok bool, err error) {
	if pos+4 > uint64(len(s.Data)) {
		return e, 0, false, nil
	}
	r := cursor.Cursor{Data: s.Data, At: pos}
	size, wide := r.U32(), false
	if size == 0 && !s.Debug {
		return e, 0, false, nil
	}
	if size == 0xffffffff {
		size, wide = r.U64(), true
	}
	if r.Bad || size > uint64(len(s.Data))-r.At {
		return e, 0, false, badf("the record at %#x is larger than the section", pos)
	}
	next = r.At + size
	r.Data = s.Data[:next]
	at := r.At
	id := uint64(0)
	if wide && s.Debug {
		id = r.U64()
	} else {
		id = r.U32()
	}
	if r.Bad {
		return e, 0, false, badf("the record at %#x has no room for its kind", pos)
	}
	switch {
	case s.Debug && (id == 0xffffffff && !wide || id == ^uint64(0)):
		e.isCIE = true
	case s.Debug:
		e.cieAt = id
	case id == 0:
		e.isCIE = true
	case id > at:
		return e, 0, false, badf("the record at %#x refers to one before the section", pos)
	default:
		e.cieAt = at - id
	}
	e.r = r
	return e, next, true, nil
}

// readCIE reads the record at pos. If that fails, it sets err in the result.
func (s *Section) readCIE(pos uint64) *cie {
	c := &cie{addrSize: 8}
	if pos >= uint64(len(s.Data)) {
		c.err = badf("a record refers to one at %#x, beyond the section", pos)
		return c
	}
	e, _, ok, err := s.entry(pos)
	if err != nil || !ok || !e.isCIE {
		if c.err = err; err == nil {
			c.err = badf("a record refers to one at %#x, which is of another kind", pos)
		}
		return c
	}
	r := &e.r
	version := r.Byte()
	aug := r.Text()
	if version != 1 && version != 3 && version != 4 {
		c.err = badf("version %d", version)
		return c
	}
	if aug == "eh" {
		r.Take(8)
	}
	if version == 4 {
		c.addrSize = int(r.U8())
		if seg := r.Byte(); seg != 0 || c.addrSize != 8 && c.addrSize != 4 {
			c.err = badf("addresses of %d bytes, segments of %d", c.addrSize, seg)
			return c
		}
	}
	c.codeAlign, c.dataAlign = int64(r.Uleb()), r.Sleb()
	if version == 1 {
		c.ra = r.U8()
	} else {
		c.ra = r.Uleb()
	}
	if len(aug) > 0 && aug[0] == 'z' {
		c.augmented = true
		size := r.Uleb()
		after := r.At + size
		for _, a := range aug[1:] {
			switch a {
			case 'R':
				c.encoding = r.Byte()
			case 'P':
				enc := r.Byte()
				s.pointer(r, enc&^peIndirect, 8)
			case 'L':
				r.Byte()
			case 'S':
				c.signal = true
			}
		}
		if after < r.At || after > uint64(len(r.Data)) {
			r.Bad = true
		}
		r.At = after
	}
	if r.Bad || c.codeAlign <= 0 {
		c.err = badf("the record at %#x is cut off", pos)
		return c
	}
	m := machine{arch: s.Arch}
	m.st.reset()
	m.cie = c
	if c.err = m.exec(r.Data[r.At:], nil); c.err == nil {
		c.start = m.st
		c.start.saved = nil
	}
	return c
}

// readFunction reads the rest of a function's record.
func (s *Section) readFunction(e *entry, c *cie) (function, error) {
	r := &e.r
	start := s.pointer(r, c.encoding, c.addrSize)
	size := s.pointer(r, c.encoding&0x0f, c.addrSize)
	if c.augmented {
		n := r.Uleb()
		if n > uint64(len(r.Data))-r.At {
			r.Bad = true
		}
		r.Take(n)
	}
	if r.Bad {
		return function{}, badf("a function's record is cut off")
	}
	f := function{start: start, from: start, end: start + size, cie: c, code: r.Data[r.At:]}
	if f.end < f.start {
		return function{}, badf("the function at %#x has %#x bytes", start, size)
	}
	return f, nil
}

// Encodings of pointers: the format in the low bits, and what it is relative to.
const (
	peULEB     = 0x01
	peU16      = 0x02
	peU32      = 0x03
	peU64      = 0x04
	peSLEB     = 0x09
	peS16      = 0x0a
	peS32      = 0x0b
	peS64      = 0x0c
	peAligned  = 0x50
	peIndirect = 0x80
	peOmit     = 0xff

	peHere = 0x10
	peText = 0x20
	peBase = 0x30
)

// pointer reads a pointer.
func (s *Section) pointer(r *cursor.Cursor, enc byte, addrSize int) uint64 {
	if enc == peOmit {
		return 0
	}
	if enc == peAligned {
		r.Take(-(s.Addr + r.At) & 7)
		return r.U64()
	}
	at := s.Addr + r.At
	var v uint64
	switch enc & 0x0f {
	case 0:
		if addrSize == 4 {
			v = r.U32()
		} else {
			v = r.U64()
		}
	case peULEB:
		v = r.Uleb()
	case peU16:
		v = r.U16()
	case peU32:
		v = r.U32()
	case peU64, peS64:
		v = r.U64()
	case peSLEB:
		v = uint64(r.Sleb())
	case peS16:
		v = uint64(int16(r.U16()))
	case peS32:
		v = uint64(int32(r.U32()))
	default:
		r.Bad = true
	}
	switch enc & 0x70 {
	case 0:
	case peHere:
		v += at
	case peText:
		v += s.Text
	case peBase:
		v += s.Base
	default:
		r.Bad = true
	}
	if enc&peIndirect != 0 { // the address is in memory: the dynamic linker writes it
		r.Bad = true
	}
	return v
}
