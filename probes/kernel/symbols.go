package kernel

import (
	"bytes"
	"hash/maphash"
	"iter"
	"math/bits"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/sorted"
)

// symbolTable holds the text of /proc/kallsyms. It is sorted by address when the first
// address is looked up, and indexed by name when several names are looked up.
type symbolTable struct {
	text   []byte // lines "address type name[\t[module]]"
	byAddr lazy.Value[[]symbol]
	byName lazy.Value[*nameIndex]
	read   time.Time     // when the text was read
	cost   time.Duration // how long that took

	modules map[uint64]uint64 // the end of the code of each module, by its start

	lookups atomic.Int64 // names looked up
}

type symbol struct {
	addr uint64
	line uint32 // offset of its line in text
}

func loadSymbols(src source) (*symbolTable, error) {
	began := time.Now()
	text, err := src.read("kallsyms")
	if err != nil {
		return nil, err
	}
	t := newSymbolTable(text)
	modules, _ := src.read("modules")
	for line := range strings.Lines(string(modules)) {
		if f := strings.Fields(line); len(f) >= 6 { // name size references users state address
			size, _ := strconv.ParseUint(f[1], 10, 64)
			start, _ := parseHex([]byte(strings.TrimPrefix(f[5], "0x")))
			t.modules[start] = start + size
		}
	}
	t.read = time.Now()
	t.cost = t.read.Sub(began)
	return t, nil
}

//go:noinline
func newSymbolTable(text []byte) *symbolTable {
	t := &symbolTable{text: text, modules: map[uint64]uint64{}}
	t.byAddr.New = t.sort
	t.byName.New = t.index
	return t
}

// outside returns the lines of symbols that are not in vmlinux.
func (t *symbolTable) outside() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for line := range bytes.Lines(t.text) {
			line = bytes.TrimSuffix(line, []byte{'\n'})
			if bytes.HasSuffix(line, []byte{']'}) && !yield(line) {
				return
			}
		}
	}
}

// address returns the address of a symbol. vmlinux comes first in kallsyms, so its
// symbols take precedence over those of modules.
func (t *symbolTable) address(name string) (uint64, bool) {
	if name == "" || strings.ContainsAny(name, " \t\n") {
		return 0, false
	}
	for line := range t.lines(name) {
		addr, ok := parseHex(t.text[line:])
		return addr, ok && addr != 0
	}
	return 0, false
}

// lines yields the offsets of the lines with a name, in order.
func (t *symbolTable) lines(name string) iter.Seq[int] {
	if t.lookups.Add(1) > searches {
		return t.byName.Get().lines(t, name)
	}
	return func(yield func(int) bool) {
		for from := 0; ; {
			line := t.search(name, from)
			if line < 0 || !yield(line) {
				return
			}
			end := bytes.IndexByte(t.text[line:], '\n')
			if end < 0 {
				return
			}
			from = line + end
		}
	}
}

// searches is the number of names that are searched in the whole text. Searching for
// this many takes as long as building the index.
const searches = 4

// search returns the offset of the first line with a name that ends after from, or -1.
func (t *symbolTable) search(name string, from int) int {
	pat := []byte(" " + name)
	for rest, base := t.text[from:], from; ; {
		i := bytes.Index(rest, pat)
		if i < 0 {
			return -1
		}
		end := i + len(pat)
		if end == len(rest) || rest[end] == '\n' || rest[end] == '\t' {
			return bytes.LastIndexByte(t.text[:base+i], '\n') + 1
		}
		rest, base = rest[end:], base+end
	}
}

// nameIndex is a hash table of the lines of a symbolTable by name.
type nameIndex struct {
	seed  maphash.Seed
	slots []uint32 // offset of a line + 1, or 0; the length is a power of two
}

// index builds the table's nameIndex.
func (t *symbolTable) index() *nameIndex {
	lines := bytes.Count(t.text, []byte{'\n'}) + 1
	x := &nameIndex{maphash.MakeSeed(), make([]uint32, 1<<bits.Len(uint(2*lines)))}
	for off := 0; off < len(t.text); {
		if name := t.nameOf(off); name != nil {
			i := x.first(name)
			for x.slots[i] != 0 { // equal names stay in the order of their lines
				i = (i + 1) % len(x.slots)
			}
			x.slots[i] = uint32(off + 1)
		}
		end := bytes.IndexByte(t.text[off:], '\n')
		if end < 0 {
			break
		}
		off += end + 1
	}
	return x
}

// first returns the slot at which the search for a name starts.
func (x *nameIndex) first(name []byte) int {
	return int(maphash.Bytes(x.seed, name) % uint64(len(x.slots)))
}

// lines yields the offsets of the lines with a name, in order.
func (x *nameIndex) lines(t *symbolTable, name string) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := x.first([]byte(name)); x.slots[i] != 0; i = (i + 1) % len(x.slots) {
			if off := int(x.slots[i] - 1); string(t.nameOf(off)) == name && !yield(off) {
				return
			}
		}
	}
}

// nameOf returns the name in the line at an offset, or nil.
func (t *symbolTable) nameOf(off int) []byte {
	rest := t.text[off:]
	for range 2 { // the address and the type
		i := bytes.IndexByte(rest[:min(len(rest), 20)], ' ')
		if i < 0 {
			return nil
		}
		rest = rest[i+1:]
	}
	for i, c := range rest {
		if c == '\n' || c == '\t' {
			return rest[:i]
		}
	}
	return rest
}

//go:noinline
func parseHex(b []byte) (uint64, bool) {
	var v uint64
	n := 0
	for ; n < len(b) && n < 16; n++ {
		c := b[n]
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return v, n > 0
		}
	}
	return v, n > 0
}

// sort returns the symbols of code and data, sorted by address. Symbols with the same
// address stay in the order of the text.
func (t *symbolTable) sort() []symbol {
	list := make([]symbol, 0, bytes.Count(t.text, []byte{'\n'}))
	for off := 0; off < len(t.text); {
		line := t.text[off:]
		end := bytes.IndexByte(line, '\n')
		if end < 0 {
			end = len(line)
		}
		// Absolute symbols are per-CPU offsets and constants rather than addresses.
		if addr, ok := parseHex(line); ok && addr != 0 && end > 19 && line[17] != 'A' && line[17] != 'a' {
			list = append(list, symbol{addr, uint32(off)})
		}
		off += end + 1
	}
	sorted.By(list, func(s *symbol) uint64 { return s.addr })
	return list
}

// builtin begins the names that kallsyms has in place of a module's for code that the kernel
// generates in a page, such as trampolines.
const builtin = "__builtin__"

// at returns the symbol with the highest address that is not above addr. sure is set if
// the symbol belongs to vmlinux, whose symbols do not change, and another symbol of
// vmlinux follows it.
func (t *symbolTable) at(addr uint64) (f found, sure bool) {
	list := t.byAddr.Get()
	next := sort.Search(len(list), func(i int) bool { return list[i].addr > addr })
	i := next - 1
	if i < 0 {
		return found{}, false
	}
	for i > 0 && list[i-1].addr == list[i].addr {
		i--
	}
	// An address 1 MiB after a symbol is not part of it: modules are far apart.
	if addr-list[i].addr > 1<<20 {
		return found{}, false
	}
	f.name, f.module = t.name(list[i].line)
	f.offset = addr - list[i].addr
	// Kallsyms has no sizes. Memory that was freed after a module's init functions, or code
	// without symbols, may follow.
	if strings.HasPrefix(f.module, builtin) && list[i].addr>>12 != addr>>12 {
		return found{}, false
	}
	for start, end := range t.modules {
		if start <= list[i].addr && list[i].addr < end && addr >= end {
			return found{}, false
		}
	}
	if f.module == "vmlinux" && next < len(list) {
		_, module := t.name(list[next].line)
		sure = module == "vmlinux"
	}
	return f, sure
}

func (t *symbolTable) name(line uint32) (name, module string) {
	text := t.text[line:]
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	f := strings.Fields(string(text))
	if len(f) < 3 {
		return "", ""
	}
	module = "vmlinux"
	if len(f) > 3 {
		module = strings.Trim(f[3], "[]")
	}
	return f[2], module
}
