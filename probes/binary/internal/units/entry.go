package units

import (
	"debug/dwarf"

	"github.com/gotrace/gotrace/runtime/cursor"
)

// Entry returns the entry at an offset with all its attributes, and the offset of the entry
// that follows. It returns nil if the data are damaged. An entry with tag 0 ends a list of
// children.
//
// Entries have the types of package debug/dwarf. Its reader is not used because it does not
// know the forms of GNU's split DWARF, and takes all units of a file to be complete.
func (u *Unit) Entry(off uint64) (e *dwarf.Entry, next uint64) {
	var short entry
	if !u.read(off, &short) {
		return nil, 0
	}
	e = &dwarf.Entry{Offset: dwarf.Offset(off), Tag: dwarf.Tag(short.tag), Children: short.children}
	if e.Tag == 0 {
		return e, short.next
	}
	if !u.rooted {
		u.readRoot()
	}
	r := cursor.Cursor{Data: u.d.Info[:u.end], Order: u.d.Order, At: off}
	a := u.abbreviations().get(r.Uleb())
	e.Field = make([]dwarf.Field, 0, len(a.specs))
	for i := range a.specs {
		v := value{form: a.specs[i].form, n: uint64(a.specs[i].implicit)}
		if v.form != formImplicitConst {
			u.readForm(&r, &v)
		}
		f := dwarf.Field{Attr: dwarf.Attr(a.specs[i].attr)}
		if f.Val, f.Class = u.content(&r, v); f.Val != nil {
			e.Field = append(e.Field, f)
		}
	}
	return e, short.next
}

// content returns a value as package debug/dwarf represents it. r is after the value. The
// class is only set for references.
func (u *Unit) content(r *cursor.Cursor, v value) (any, dwarf.Class) {
	switch v.form {
	case formAddr, formAddrx, formAddrx1, formAddrx2, formAddrx3, formAddrx4, formGNUAddrIndex:
		if a, ok := u.addr(v); ok {
			return a, 0
		}
		return nil, 0
	case formBlock, formBlock1, formBlock2, formBlock4, formExprloc, formData16:
		return r.Data[r.At-v.n : r.At], 0
	case formFlag, formFlagPresent:
		return v.n == 1, 0
	case formRef1, formRef2, formRef4, formRef8, formRefUdata:
		return dwarf.Offset(u.start + v.n), dwarf.ClassReference
	case formRefAddr:
		return dwarf.Offset(v.n), dwarf.ClassReference
	case formRefSig8:
		return v.n, dwarf.ClassReferenceSig
	case formGNURefAlt, formRefSup4, formRefSup8:
		return dwarf.Offset(v.n), dwarf.ClassReferenceAlt
	case formString, formStrp, formLineStrp, formStrpSup, formGNUStrpAlt,
		formStrx, formStrx1, formStrx2, formStrx3, formStrx4, formGNUStrIndex:
		return u.text(v), 0
	case formLoclistx, formRnglistx:
		return v.n, 0
	}
	return int64(v.n), 0
}

// Entry returns the entry at an offset of any unit, or nil.
func (d *Data) Entry(off dwarf.Offset) *dwarf.Entry {
	u := d.unitAt(uint64(off))
	if u == nil {
		return nil
	}
	e, _ := u.Entry(uint64(off))
	return e
}

// Children calls f for the direct children of an entry, until f returns false.
func (d *Data) Children(parent *dwarf.Entry, f func(*dwarf.Entry) bool) {
	u := d.unitAt(uint64(parent.Offset))
	if u == nil || !parent.Children {
		return
	}
	_, off := u.Entry(uint64(parent.Offset))
	for {
		e, next := u.Entry(off)
		if e == nil || e.Tag == 0 || !f(e) {
			return
		}
		off = u.afterChildren(off, next)
	}
}

// afterChildren returns the offset of the entry after the one at off and its children. next
// is the offset of the entry after the one at off.
func (u *Unit) afterChildren(off, next uint64) uint64 {
	var e entry
	depth := 0
	for u.read(off, &e) {
		switch to, ok := u.siblingOf(&e); {
		case e.tag == 0:
			depth--
		case !e.children:
		case ok:
			e.next = to
		default:
			depth++
		}
		if off = e.next; depth <= 0 {
			return off
		}
	}
	return u.end // damaged
}

// TopEntries calls f for the entries of all units: those of the units themselves, their
// direct children, and the children of namespaces.
func (d *Data) TopEntries(f func(*dwarf.Entry)) {
	for _, u := range d.Units() {
		for off := u.entries; off < u.end; {
			e, next := u.Entry(off)
			if e == nil {
				break
			}
			f(e)
			switch e.Tag {
			case dwarf.TagCompileUnit, dwarf.TagTypeUnit, dwarf.TagPartialUnit, dwarf.TagNamespace, 0:
				off = next
			default:
				off = u.afterChildren(off, next)
			}
		}
	}
}
