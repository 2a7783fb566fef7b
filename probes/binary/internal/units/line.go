package units

import (
	"cmp"
	"path"
	"slices"
	"sort"

	"github.com/gotrace/gotrace/runtime/cursor"
	"github.com/gotrace/gotrace/runtime/sorted"
)

// lines is the line table of a unit.
// ~
type lines struct {
	rows  []row    // sorted by address
	files []string // by the numbers that rows and entries use
}

// row is the source line of the code from an address on.
type row struct {
	addr       uint64
	file, line uint32 // file is noFile at the end of the code
}

const (
	noFile   = ^uint32(0)
	maxFiles = 1 << 20
	maxRows  = 1 << 24
)

// Line returns the source line of the code at an address.
func (u *Unit) Line(pc uint64) (file string, line int) {
	l := u.lineTable()
	i := sort.Search(len(l.rows), func(i int) bool { return l.rows[i].addr > pc })
	if i--; i < 0 || l.rows[i].file == noFile {
		return "", 0
	}
	return l.name(uint64(l.rows[i].file)), int(l.rows[i].line)
}

// file returns the name of the file with the number that the unit's entries use.
func (u *Unit) file(n uint64) string { return u.lineTable().name(n) }

func (l *lines) name(n uint64) string {
	if n < uint64(len(l.files)) {
		return l.files[n]
	}
	return ""
}

// lineTable returns the unit's line table. It reads it at the first call. If GCC wrote
// the file that completes a skeleton, that file has its own list of files. LLVM uses the
// list of the skeleton.
func (u *Unit) lineTable() *lines {
	if u.skeleton != nil && u.root.stmtList.form == 0 && len(u.d.Line) == 0 {
		return u.skeleton.lineTable()
	}
	if u.lines == nil {
		l := &lines{}
		switch {
		case u.root.stmtList.form != 0:
			u.readLines(l, u.root.stmtList.n)
		case u.skeleton != nil:
			u.readLines(l, 0)
		}
		l.rows = slices.Clip(l.rows)
		n := 16 * len(l.rows)
		for _, f := range l.files {
			n += 16 + len(f)
		}
		u.d.grow(n)
		u.lines = l
	}
	return u.lines
}

// lineState is a row of a line table as the line number program makes it.
type lineState struct {
	addr, file, col uint64
	line            int64
	stmt            bool // a statement starts at addr
	end             bool // addr is after the end of the code
}

// lineHeader is the information on which the rows of a line table depend.
type lineHeader struct {
	version              uint64
	stmt                 bool // rows are statements initially
	minInst              uint64
	lineBase             int64
	lineRange, opcodeMin uint64
	lengths              []byte // operands of the standard opcodes
}

// readLines reads the line table at an offset of .debug_line.
func (u *Unit) readLines(l *lines, off uint64) {
	if h, r, ok := u.lineProgram(l, off); ok {
		l.addRows(h, r)
	}
}

// lineProgram reads the header of the line table at an offset of .debug_line, and its files.
// It returns a reader at the table's program, or false if that is damaged.
func (u *Unit) lineProgram(l *lines, off uint64) (h *lineHeader, r *cursor.Cursor, ok bool) {
	r = &cursor.Cursor{Data: u.d.Line, Order: u.d.Order, At: off}
	n, is64 := r.U32(), false
	if n == 0xffffffff {
		n, is64 = r.U64(), true
	}
	if r.Bad || n > uint64(len(r.Data))-r.At {
		return
	}
	r.Data = r.Data[:r.At+n]
	h = &lineHeader{version: r.U16()}
	if h.version < 2 || h.version > 5 {
		return
	}
	if h.version >= 5 {
		r.U16() // sizes of addresses and of segment selectors
	}
	length := r.Offset(is64)
	if r.Bad || length > uint64(len(r.Data))-r.At {
		return
	}
	program := r.At + length
	h.minInst = r.U8()
	if h.version >= 4 {
		r.U8() // operations per instruction
	}
	h.stmt = r.U8() != 0
	h.lineBase = int64(int8(r.U8()))
	h.lineRange, h.opcodeMin = r.U8(), r.U8()
	if h.opcodeMin > 0 {
		h.lengths = r.Take(h.opcodeMin - 1)
	}
	dir := u.text(u.root.compDir)
	if u.skeleton != nil && dir == "" {
		dir = u.skeleton.text(u.skeleton.root.compDir)
	}
	if h.version >= 5 {
		u.lineFiles5(l, r, is64, dir)
	} else {
		lineFiles(l, r, dir)
	}
	if r.Bad || h.lineRange == 0 || h.opcodeMin == 0 {
		return
	}
	r.At = program
	return h, r, true
}

// join returns the path of a name in a directory. It returns an absolute name
// unchanged.
func join(dir, name string) string {
	if name == "" || path.IsAbs(name) || dir == "" {
		return name
	}
	return path.Join(dir, name)
}

// lineFiles reads the directories and files of a line table before DWARF 5.
func lineFiles(l *lines, r *cursor.Cursor, compDir string) {
	dirs := []string{compDir}
	str := func() string { return stringAt(r.Data, r.SkipText()) }
	for len(dirs) < maxFiles && !r.Bad {
		s := str()
		if s == "" {
			break
		}
		dirs = append(dirs, join(compDir, s))
	}
	l.files = []string{""} // numbers start at 1
	for len(l.files) < maxFiles && !r.Bad {
		s := str()
		if s == "" {
			break
		}
		dir := r.Uleb()
		r.Uleb()
		r.Uleb()
		if dir < uint64(len(dirs)) {
			s = join(dirs[dir], s)
		}
		l.files = append(l.files, s)
	}
}

// lineFiles5 reads the directories and files of a line table of DWARF 5.
func (u *Unit) lineFiles5(l *lines, r *cursor.Cursor, is64 bool, compDir string) {
	const contentPath, contentDir = 1, 2
	forms := *u
	forms.is64 = is64
	list := func(each func(name string, dir uint64)) {
		var format [][2]uint64
		for range r.U8() {
			format = append(format, [2]uint64{r.Uleb(), r.Uleb()})
		}
		for n := r.Uleb(); n > 0 && n < maxFiles && !r.Bad; n-- {
			var name string
			var dir uint64
			for _, f := range format {
				v := value{form: uint32(f[1])}
				if !forms.readForm(r, &v) {
					r.Bad = true
					return
				}
				switch f[0] {
				case contentPath:
					if v.form == formString {
						name = stringAt(r.Data, v.n)
					} else {
						name = forms.text(v)
					}
				case contentDir:
					dir = v.n
				}
			}
			each(name, dir)
		}
	}
	var dirs []string
	list(func(name string, _ uint64) { dirs = append(dirs, join(compDir, name)) })
	list(func(name string, dir uint64) {
		if dir < uint64(len(dirs)) {
			name = join(dirs[dir], name)
		}
		l.files = append(l.files, name)
	})
}

// run executes the line number program at the reader's position. It calls emit with each
// row that the program makes.
func (h *lineHeader) run(r *cursor.Cursor, emit func(s *lineState)) {
	begin := lineState{file: 1, line: 1, stmt: h.stmt}
	s := begin
	for rows := 0; r.At < uint64(len(r.Data)) && !r.Bad && rows < maxRows; {
		op := r.U8()
		switch {
		case op >= h.opcodeMin:
			op -= h.opcodeMin
			s.addr += op / h.lineRange * h.minInst
			s.line += h.lineBase + int64(op%h.lineRange)
			emit(&s)
			rows++
		case op == 0: // extended
			n := r.Uleb()
			body := cursor.Cursor{Data: r.Take(n), Order: r.Order}
			switch body.U8() {
			case 1: // end_sequence
				s.end = true
				emit(&s)
				rows++
				s = begin
			case 2: // set_address
				if n == 5 {
					s.addr = body.U32()
				} else {
					s.addr = body.U64()
				}
			}
		case op == 1: // copy
			emit(&s)
			rows++
		case op == 2:
			s.addr += r.Uleb() * h.minInst
		case op == 3:
			s.line += r.Sleb()
		case op == 4:
			s.file = r.Uleb()
		case op == 5:
			s.col = r.Uleb()
		case op == 6:
			s.stmt = !s.stmt
		case op == 8: // const_add_pc
			s.addr += (255 - h.opcodeMin) / h.lineRange * h.minInst
		case op == 9:
			s.addr += r.U16()
		case int(op-1) < len(h.lengths):
			for range h.lengths[op-1] {
				r.Uleb()
			}
		}
	}
}

// sequence is a range of rows with ascending addresses.
type sequence struct{ from, to int }

// addRows reads the rows of a line table. r is at its program.
func (l *lines) addRows(h *lineHeader, r *cursor.Cursor) {
	var sequences []sequence
	from := 0
	h.run(r, func(s *lineState) {
		row := row{s.addr, uint32(s.file), uint32(max(s.line, 0))}
		if s.end {
			row.file = noFile
		}
		if n := len(l.rows); n > from && l.rows[n-1].addr == s.addr {
			l.rows[n-1] = row // the last row for an address counts
		} else {
			l.rows = append(l.rows, row)
		}
		if s.end {
			sequences = append(sequences, sequence{from, len(l.rows)})
			from = len(l.rows)
		}
	})
	l.rows = l.rows[:from] // an unfinished sequence has no end
	ordered := slices.IsSortedFunc(sequences, func(a, b sequence) int { return cmp.Compare(l.rows[a.from].addr, l.rows[b.from].addr) })
	if ordered {
		return
	}
	sorted.By(sequences, func(q *sequence) uint64 { return l.rows[q.from].addr })
	rows := make([]row, 0, len(l.rows))
	for _, q := range sequences {
		if l.rows[q.from].addr > 1 { // otherwise the linker has dropped the code
			rows = append(rows, l.rows[q.from:q.to]...)
		}
	}
	l.rows = rows
}

// Statements calls f with the address and the position of each statement of the unit that
// is in a file for whose name wanted returns true. It reports whether the unit has such a
// file.
func (u *Unit) Statements(wanted func(file string) bool, f func(addr uint64, line, col int)) bool {
	if u.root.stmtList.form == 0 {
		return false
	}
	var l lines
	h, r, ok := u.lineProgram(&l, u.root.stmtList.n)
	in := make([]bool, len(l.files))
	for i, name := range l.files {
		in[i] = name != "" && wanted(name)
	}
	if !slices.Contains(in, true) {
		return false
	}
	if ok {
		h.run(r, func(s *lineState) {
			if s.stmt && !s.end && s.file < uint64(len(in)) && in[s.file] {
				f(s.addr, int(s.line), int(s.col))
			}
		})
	}
	return true
}
