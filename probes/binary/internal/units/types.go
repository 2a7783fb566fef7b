package units

import (
	"slices"

	"github.com/gotrace/gotrace/runtime/cursor"
)

// Units of types describe one type each, which other units refer to by a signature. In
// DWARF 4 they are in a separate section, .debug_types. Their header is that of other
// units, followed by the signature and the offset of the type's entry.

// joinTypes appends the units of .debug_types to Info. It sets the additional fields of
// their headers to zero: in an ordinary unit, zeros are entries without meaning.
func (d *Data) joinTypes() {
	at := uint64(len(d.Info))
	d.Info = slices.Concat(d.Info, d.Types)
	d.Types = nil
	for at < uint64(len(d.Info)) {
		r := cursor.Cursor{Data: d.Info, Order: d.Order, At: at}
		u := d.header(&r)
		if u == nil || u.version != 4 || u.entries == u.end {
			break
		}
		from := r.At
		sig := r.U64()
		d.sign(sig, u, r.Offset(u.is64))
		if r.Bad || r.At > u.end {
			break
		}
		clear(d.Info[from:r.At])
		at = u.end
	}
	d.Info = d.Info[:at] // what follows damaged data cannot be found
}

// sign records the signature of the type whose entry is at an offset of a unit.
func (d *Data) sign(sig uint64, u *Unit, off uint64) {
	if at := u.start + off; off < u.end-u.start {
		if _, ok := d.signed[sig]; !ok {
			d.signed[sig] = at
		}
	}
}

// Signed returns the offset of the entry of the type with a signature.
func (d *Data) Signed(sig uint64) (off uint64, ok bool) {
	d.index()
	off, ok = d.signed[sig]
	return off, ok
}

// TypeNamed returns the tag and the name of the type whose entry is at an offset.
func (d *Data) TypeNamed(off uint64) (tag uint32, name string) {
	u := d.unitAt(off)
	var e entry
	if u == nil || !u.read(off, &e) {
		return 0, ""
	}
	return e.tag, u.text(e.name)
}
