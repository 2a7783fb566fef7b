package kernel

import (
	"bytes"
	"iter"
	"sort"
	"strings"
	"sync"
	"time"
)

// symbolTable holds the text of /proc/kallsyms. It is sorted by address when the
// first address is looked up.
type symbolTable struct {
	text   []byte // lines "address type name[\t[module]]"
	byAddr func() []symbol
	read   time.Time     // when the text was read
	cost   time.Duration // how long that took
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
	t.read = time.Now()
	t.cost = t.read.Sub(began)
	return t, nil
}

func newSymbolTable(text []byte) *symbolTable {
	t := &symbolTable{text: text}
	t.byAddr = sync.OnceValue(t.sort)
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
	pat := []byte(" " + name)
	for rest, base := t.text, 0; ; {
		i := bytes.Index(rest, pat)
		if i < 0 {
			return 0, false
		}
		end := i + len(pat)
		if end == len(rest) || rest[end] == '\n' || rest[end] == '\t' {
			start := bytes.LastIndexByte(t.text[:base+i], '\n') + 1
			addr, ok := parseHex(t.text[start:])
			return addr, ok && addr != 0
		}
		rest, base = rest[end:], base+end
	}
}

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

// sort returns the symbols of code and data, sorted by address. Symbols with the
// same address keep the order of the text.
func (t *symbolTable) sort() []symbol {
	list := make([]symbol, 0, bytes.Count(t.text, []byte{'\n'}))
	for off := 0; off < len(t.text); {
		line := t.text[off:]
		end := bytes.IndexByte(line, '\n')
		if end < 0 {
			end = len(line)
		}
		// Absolute symbols are per-CPU offsets and constants, and not addresses.
		if addr, ok := parseHex(line); ok && addr != 0 && end > 19 && line[17] != 'A' && line[17] != 'a' {
			list = append(list, symbol{addr, uint32(off)})
		}
		off += end + 1
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].addr < list[j].addr })
	return list
}

// at returns the symbol with the highest address that is not above addr. sure tells
// that it is one of vmlinux, whose symbols stay, and that another one of vmlinux
// follows it.
func (t *symbolTable) at(addr uint64) (f found, sure bool) {
	list := t.byAddr()
	next := sort.Search(len(list), func(i int) bool { return list[i].addr > addr })
	i := next - 1
	if i < 0 {
		return found{}, false
	}
	for i > 0 && list[i-1].addr == list[i].addr {
		i--
	}
	// An address 1 MiB after a symbol is not in it: modules are far from each other.
	if addr-list[i].addr > 1<<20 {
		return found{}, false
	}
	f.name, f.module = t.name(list[i].line)
	f.offset = addr - list[i].addr
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
