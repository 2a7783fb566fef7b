package unwind

import (
	"encoding/binary"

	"github.com/gotrace/gotrace/runtime/unwind/cfi"
)

// segment is the table of a range of a file, by offsets in the file.
type segment struct {
	origin     uint64 // of the first page
	start, end uint64
	block
}

// draft is a segment that is not in shared memory yet. Its rules are indexes into the
// file's own list.
type draft struct {
	from, end uint64
	start     uint64 // of the first page: a multiple of PageSize
	pages     []uint32
	pcs       []uint8
	rules     []uint16
}

const (
	maxRows = 60_000    // a row's number has 16 bits
	maxGap  = 64 * 1024 // more bytes without rows than this end a segment
	// padding replaces maxGap in files whose code without rows keeps frame pointers or has
	// no table yet, because such code must not be in a segment.
	padding = 64
)

func (d *draft) size() int {
	return SegPages + 4*(len(d.pages)+1) + 3*len(d.rules) + 1
}

// drafts divides the rows of a file into segments. Each of them fits into a chunk. More
// than gap bytes without rows end a segment.
func drafts(f *cfi.File, gap uint64) []draft {
	var out []draft
	none := uint16(0) // the first rule is cfi.NoTable
	for _, code := range f.Code {
		if code.Size == 0 || code.Off+code.Size < code.Off || code.Off+code.Size > 1<<32 {
			continue
		}
		var d *draft
		// closeAt ends the open segment at off.
		closeAt := func(off uint64) {
			if d != nil {
				d.end = off
				d.fillPages(none)
			}
			d = nil
		}
		rows := rowsOf(f, code)
		for i, r := range rows {
			off := r.off
			if d != nil && (len(d.rules) >= maxRows || d.size()+4*int((off-d.start)/PageSize)-4*len(d.pages) > ChunkSize-4096) {
				// The segment ends in the middle of a page, so the next one starts there.
				closeAt(off)
			}
			next := code.Off + code.Size
			if i+1 < len(rows) {
				next = rows[i+1].off
			}
			if r.rule == none && (d == nil || next-off > gap) {
				closeAt(off)
				continue
			}
			if d == nil {
				out = append(out, draft{from: off, start: off &^ (PageSize - 1)})
				d = &out[len(out)-1]
				d.pages = append(d.pages, uint32(none))
				if off == d.start {
					d.pages[0] = uint32(r.rule)
					continue
				}
			}
			d.add(off, r.rule)
		}
		closeAt(code.Off + code.Size)
	}
	return out
}

// add appends a row.
func (d *draft) add(off uint64, rule uint16) {
	page := int((off - d.start) / PageSize)
	for len(d.pages) <= page {
		d.pages = append(d.pages, uint32(len(d.rules))<<PageRow|uint32(d.last()))
	}
	if off%PageSize == 0 {
		d.pages[page] = d.pages[page]&^0xffff | uint32(rule)
		return
	}
	d.pcs, d.rules = append(d.pcs, uint8(off%PageSize)), append(d.rules, rule)
}

// last returns the rule at the end of the rows so far.
func (d *draft) last() uint16 {
	page := d.pages[len(d.pages)-1]
	if int(page>>PageRow) < len(d.rules) {
		return d.rules[len(d.rules)-1]
	}
	return uint16(page)
}

// fillPages adds the words of the pages up to the end of the segment, and one more,
// which ends the rows of the last page.
func (d *draft) fillPages(none uint16) {
	n := int((d.end - d.start + PageSize - 1) / PageSize)
	for len(d.pages) < n {
		d.pages = append(d.pages, uint32(len(d.rules))<<PageRow|uint32(d.last()))
	}
	d.pages = append(d.pages, uint32(len(d.rules))<<PageRow|uint32(none))
}

// encode writes the segment to b, which is at offset off in its chunk.
func (d *draft) encode(b []byte, off int, rule func(uint16) uint16) {
	ne := binary.NativeEndian
	rules := SegPages + 4*len(d.pages)
	pcs := rules + 2*len(d.rules)
	ne.PutUint32(b[SegRules:], uint32(off+rules))
	ne.PutUint32(b[SegPCs:], uint32(off+pcs))
	for i, p := range d.pages {
		ne.PutUint32(b[SegPages+4*i:], p&^0xffff|uint32(rule(uint16(p))))
	}
	for i, r := range d.rules {
		ne.PutUint16(b[rules+2*i:], rule(r))
	}
	copy(b[pcs:], d.pcs)
}

// offRow is a row whose address is an offset in the file.
type offRow struct {
	off  uint64
	rule uint16
}

// rowsOf returns the rows of a range of a file. The first one is at its start.
func rowsOf(f *cfi.File, code cfi.Span) []offRow {
	var out []offRow
	out = append(out, offRow{code.Off, 0})
	for _, r := range f.List {
		switch {
		case r.PC <= code.Addr:
			out[0].rule = r.Rule
		case r.PC-code.Addr < code.Size:
			out = append(out, offRow{r.PC - code.Addr + code.Off, r.Rule})
		}
	}
	return out
}
