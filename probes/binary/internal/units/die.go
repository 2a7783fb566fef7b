package units

import "github.com/gotrace/gotrace/runtime/cursor"

// Attributes, tags and forms of DWARF 2 to 5 and of GNU's extensions.
const (
	tagLexicalBlock   = 0x0b
	tagCompileUnit    = 0x11
	tagStructType     = 0x13
	tagUnionType      = 0x17
	tagInlined        = 0x1d
	tagModule         = 0x1e
	tagClassType      = 0x02
	tagSubprogram     = 0x2e
	tagNamespace      = 0x39
	tagInterfaceType  = 0x38
	tagSkeletonUnit   = 0x4a
	atSibling         = 0x01
	atName            = 0x03
	atStmtList        = 0x10
	atLowPC           = 0x11
	atHighPC          = 0x12
	atCompDir         = 0x1b
	atAbstractOrigin  = 0x31
	atSpecification   = 0x47
	atEntryPC         = 0x52
	atRanges          = 0x55
	atCallFile        = 0x58
	atCallLine        = 0x59
	atLinkageName     = 0x6e
	atStrOffsetsBase  = 0x72
	atAddrBase        = 0x73
	atRnglistsBase    = 0x74
	atDwoName         = 0x76
	atMIPSLinkageName = 0x2007
	atGNUDwoName      = 0x2130
	atGNUDwoID        = 0x2131
	atGNURangesBase   = 0x2132
	atGNUAddrBase     = 0x2133
	formAddr          = 0x01
	formBlock2        = 0x03
	formBlock4        = 0x04
	formData2         = 0x05
	formData4         = 0x06
	formData8         = 0x07
	formString        = 0x08
	formBlock         = 0x09
	formBlock1        = 0x0a
	formData1         = 0x0b
	formFlag          = 0x0c
	formSdata         = 0x0d
	formStrp          = 0x0e
	formUdata         = 0x0f
	formRefAddr       = 0x10
	formRef1          = 0x11
	formRef2          = 0x12
	formRef4          = 0x13
	formRef8          = 0x14
	formRefUdata      = 0x15
	formIndirect      = 0x16
	formSecOffset     = 0x17
	formExprloc       = 0x18
	formFlagPresent   = 0x19
	formStrx          = 0x1a
	formAddrx         = 0x1b
	formRefSup4       = 0x1c
	formStrpSup       = 0x1d
	formData16        = 0x1e
	formLineStrp      = 0x1f
	formRefSig8       = 0x20
	formImplicitConst = 0x21
	formLoclistx      = 0x22
	formRnglistx      = 0x23
	formRefSup8       = 0x24
	formStrx1         = 0x25
	formStrx2         = 0x26
	formStrx3         = 0x27
	formStrx4         = 0x28
	formAddrx1        = 0x29
	formAddrx2        = 0x2a
	formAddrx3        = 0x2b
	formAddrx4        = 0x2c
	formGNUAddrIndex  = 0x1f01
	formGNUStrIndex   = 0x1f02
	formGNURefAlt     = 0x1f20
	formGNUStrpAlt    = 0x1f21
	maxAbbrevs        = 1 << 20
	maxAbbrevAttrs    = 1 << 12
	maxOrigins        = 64 // entries that complete each other
	maxNesting        = 512
	maxScopesOfUnit   = 1 << 22
	maxRangesOfScope  = 1 << 20
	maxUnits          = 1 << 22
)

// abbrev describes entries: their tag and the attributes that they have.
type abbrev struct {
	tag      uint32
	children bool
	specs    []spec
}

type spec struct {
	attr, form uint32
	implicit   int64 // of formImplicitConst
}

// abbrevs is an abbreviation table. Codes are almost always consecutive and start at 1.
type abbrevs struct {
	list []abbrev
	more map[uint64]int // code → index if codes have gaps
}

func (t *abbrevs) get(code uint64) *abbrev {
	if t.more == nil {
		if code-1 < uint64(len(t.list)) {
			return &t.list[code-1]
		}
		return nil
	}
	if i, ok := t.more[code]; ok {
		return &t.list[i]
	}
	return nil
}

// size returns the approximate size of the table in memory, in bytes.
func (t *abbrevs) size() int {
	n := 48 * len(t.list)
	for i := range t.list {
		n += 16 * len(t.list[i].specs)
	}
	return n
}

// readAbbrevs reads the abbreviation table at an offset, up to the entry with the
// code last. If last is 0 it reads all of the table.
func (d *Data) readAbbrevs(off, last uint64) *abbrevs {
	t := &abbrevs{}
	r := cursor.Cursor{Data: d.Abbrev, Order: d.Order, At: off}
	for len(t.list) < maxAbbrevs {
		code := r.Uleb()
		if code == 0 || r.Bad {
			break
		}
		if code != uint64(len(t.list)+1) && t.more == nil {
			t.more = map[uint64]int{}
			for i := range t.list {
				t.more[uint64(i+1)] = i
			}
		}
		if t.more != nil {
			t.more[code] = len(t.list)
		}
		a := abbrev{tag: uint32(r.Uleb()), children: r.U8() != 0}
		for len(a.specs) < maxAbbrevAttrs && !r.Bad {
			s := spec{attr: uint32(r.Uleb()), form: uint32(r.Uleb())}
			if s.form == formImplicitConst {
				s.implicit = r.Sleb()
			}
			if s.attr == 0 && s.form == 0 {
				break
			}
			a.specs = append(a.specs, s)
		}
		t.list = append(t.list, a)
		if code == last {
			break
		}
	}
	return t
}

// value is an attribute of an entry as written: a number and its form. The form of a
// missing attribute is 0.
type value struct {
	form uint32
	n    uint64
}

// entry is an entry with the attributes that this package needs.
type entry struct {
	tag                     uint32
	children                bool
	next                    uint64 // offset of the entry that follows in the section
	low, high, ranges       value
	name, linkage, origin   value
	spec, callFile          value
	callLine, sibling       value
	stmtList, compDir       value
	dwoName, dwoID          value
	addrBase, strBase       value
	rnglistBase, rangesBase value
	entryPC                 value
}

// place returns the place of an attribute in an entry, or nil.
func (e *entry) place(attr uint32) *value {
	switch attr {
	case atSibling:
		return &e.sibling
	case atName:
		return &e.name
	case atStmtList:
		return &e.stmtList
	case atLowPC:
		return &e.low
	case atHighPC:
		return &e.high
	case atEntryPC:
		return &e.entryPC
	case atRanges:
		return &e.ranges
	case atCompDir:
		return &e.compDir
	case atAbstractOrigin:
		return &e.origin
	case atSpecification:
		return &e.spec
	case atCallFile:
		return &e.callFile
	case atCallLine:
		return &e.callLine
	case atLinkageName, atMIPSLinkageName:
		return &e.linkage
	case atStrOffsetsBase:
		return &e.strBase
	case atAddrBase, atGNUAddrBase:
		return &e.addrBase
	case atRnglistsBase:
		return &e.rnglistBase
	case atGNURangesBase:
		return &e.rangesBase
	case atDwoName, atGNUDwoName:
		return &e.dwoName
	case atGNUDwoID:
		return &e.dwoID
	}
	return nil
}

// read reads the entry at an offset of the section. An entry with tag 0 ends a list of
// children. read returns false if the data are damaged.
func (u *Unit) read(off uint64, e *entry) bool {
	*e = entry{}
	if off < u.entries || off >= u.end {
		return false
	}
	r := cursor.Cursor{Data: u.d.Info[:u.end], Order: u.d.Order, At: off}
	code := r.Uleb()
	if code == 0 {
		e.next = r.At
		return !r.Bad
	}
	a := u.abbreviations().get(code)
	if a == nil {
		return false
	}
	e.tag, e.children = a.tag, a.children
	for i := range a.specs {
		s := &a.specs[i]
		v := value{form: s.form}
		if s.form == formImplicitConst {
			v.n = uint64(s.implicit)
		} else if !u.readForm(&r, &v) {
			return false
		}
		if p := e.place(s.attr); p != nil && p.form == 0 {
			*p = v
		}
	}
	e.next = r.At
	return !r.Bad
}

// abbreviations returns the unit's abbreviation table. It reads it at the first call.
func (u *Unit) abbreviations() *abbrevs {
	if u.abbrevs == nil {
		t := u.d.readAbbrevs(u.abbrevOff, 0)
		u.d.grow(t.size())
		u.abbrevs = t
	}
	return u.abbrevs
}

// readForm reads a value of a form. It skips blocks; their value is their size.
func (u *Unit) readForm(r *cursor.Cursor, v *value) bool {
	for v.form == formIndirect {
		if v.form = uint32(r.Uleb()); r.Bad {
			return false
		}
	}
	switch v.form {
	case formAddr:
		if u.addrSize == 4 {
			v.n = r.U32()
		} else {
			v.n = r.U64()
		}
	case formData1, formFlag, formRef1, formStrx1, formAddrx1:
		v.n = r.U8()
	case formData2, formRef2, formStrx2, formAddrx2:
		v.n = r.U16()
	case formStrx3, formAddrx3:
		v.n = r.U24()
	case formData4, formRef4, formRefSup4, formStrx4, formAddrx4:
		v.n = r.U32()
	case formData8, formRef8, formRefSig8, formRefSup8:
		v.n = r.U64()
	case formData16:
		v.n = 16
		r.Take(v.n)
	case formUdata, formRefUdata, formStrx, formAddrx, formLoclistx, formRnglistx, formGNUAddrIndex, formGNUStrIndex:
		v.n = r.Uleb()
	case formSdata:
		v.n = uint64(r.Sleb())
	case formFlagPresent:
		v.n = 1
	case formString:
		v.n = r.SkipText()
	case formBlock1:
		v.n = r.U8()
		r.Take(v.n)
	case formBlock2:
		v.n = r.U16()
		r.Take(v.n)
	case formBlock4:
		v.n = r.U32()
		r.Take(v.n)
	case formBlock, formExprloc:
		v.n = r.Uleb()
		r.Take(v.n)
	case formRefAddr:
		if u.version == 2 {
			v.n = r.U64()
		} else {
			v.n = r.Offset(u.is64)
		}
	case formStrp, formLineStrp, formSecOffset, formStrpSup, formGNURefAlt, formGNUStrpAlt:
		v.n = r.Offset(u.is64)
	default:
		return false
	}
	return !r.Bad
}

// text returns the string of an attribute, or "".
func (u *Unit) text(v value) string {
	d := u.d
	switch v.form {
	case formString:
		return stringAt(d.Info, v.n)
	case formStrp:
		return stringAt(d.Str, v.n)
	case formLineStrp:
		return stringAt(d.LineStr, v.n)
	case formStrpSup, formGNUStrpAlt:
		if alt := d.AltData(); alt != nil {
			return stringAt(alt.Str, v.n)
		}
	case formStrx, formStrx1, formStrx2, formStrx3, formStrx4, formGNUStrIndex:
		size := uint64(4)
		if u.is64 {
			size = 8
		}
		if v.n > uint64(len(d.StrOffsets)) {
			return ""
		}
		r := cursor.Cursor{Data: d.StrOffsets, Order: d.Order, At: u.strBase + v.n*size}
		if off := r.Offset(u.is64); !r.Bad {
			return stringAt(d.Str, off)
		}
	}
	return ""
}

// addr returns the address of an attribute.
func (u *Unit) addr(v value) (uint64, bool) {
	switch v.form {
	case formAddr:
		return v.n, true
	case formAddrx, formAddrx1, formAddrx2, formAddrx3, formAddrx4, formGNUAddrIndex:
		return u.addrAt(v.n)
	}
	return 0, false
}

// addrAt returns an address from the unit's part of .debug_addr.
func (u *Unit) addrAt(index uint64) (uint64, bool) {
	if index > uint64(len(u.addrs)) {
		return 0, false
	}
	r := cursor.Cursor{Data: u.addrs, Order: u.d.Order, At: u.addrBase + index*8}
	a := r.U64()
	return a, !r.Bad
}

// stringAt returns the string that starts at an offset of data.
//
//go:noinline
func stringAt(data []byte, off uint64) string {
	if off >= uint64(len(data)) {
		return ""
	}
	data = data[off:]
	for i, c := range data {
		if c == 0 {
			return string(data[:i])
		}
	}
	return ""
}
