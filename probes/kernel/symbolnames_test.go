package kernel

import (
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// changing is a live kernel whose kallsyms and modules change.
type changing struct {
	source
	kallsyms, modules string
}

func (c *changing) live() bool { return true }

func (c *changing) read(name string) ([]byte, error) {
	switch name {
	case "kallsyms":
		return []byte(c.kallsyms), nil
	case "modules":
		return []byte(c.modules), nil
	}
	return c.source.read(name)
}

// TestSymbolsOfChangingKernel looks up addresses while modules and BPF programs are
// loaded and unloaded.
func TestSymbolsOfChangingKernel(t *testing.T) {
	const core = "ffffffff81000000 T _text\nffffffff81000100 T do_thing\nffffffff81000200 T _end\n"
	src := &changing{source: &fsSource{fsys: fstest.MapFS{}}}
	k := newKernel(src)
	for _, step := range []struct {
		what, kallsyms, modules string
		names                   string // "address name+offset", the address in units of 16 bytes after 0xffffffffc0000000
	}{
		{"nothing", "", "", "0 -"},
		{"a module", "ffffffffc0000100 t a_one\t[a]\nffffffffc0000200 t a_two\t[a]\n", "a 4096 0 - Live 0xffffffffc0000000\n",
			"10 a:a_one+0 1f a:a_one+240 20 a:a_two+0 ff a:a_two+3568 100 -"},
		{"a trampoline", "ffffffffc0000100 t a_one\t[a]\nffffffffc0003000 t ftrace_trampoline\t[__builtin__ftrace]\n", "a 4096 0 - Live 0xffffffffc0000000\n",
			"10 a:a_one+0 301 __builtin__ftrace:ftrace_trampoline+16 3ff __builtin__ftrace:ftrace_trampoline+4080 400 -"},
		{"a program", "ffffffffc0000100 t a_one\t[a]\nffffffffc0000200 t a_two\t[a]\nffffffffc0008000 t bpf_prog_1\t[bpf]\n", "a 4096 0 - Live 0xffffffffc0000000\n",
			"800 bpf:bpf_prog_1+0 801 bpf:bpf_prog_1+16 20 a:a_two+0"},
		{"both gone", "", "", "10 a:a_one+0 20 a:a_two+0 100 - 400 - 801 bpf:bpf_prog_1+16"},
		{"another module at the same addresses", "ffffffffc0000100 t b_one\t[b]\nffffffffc0000200 t b_two\t[b]\n", "b 4096 0 - Live 0xffffffffc0000000\n",
			"10 b:b_one+0 1f b:b_one+240 20 b:b_two+0 801 bpf:bpf_prog_1+16"},
		{"gone too", "", "", "10 b:b_one+0 20 b:b_two+0"},
	} {
		src.kallsyms, src.modules = core+step.kallsyms, step.modules
		k.names.checked = time.Time{} // the list of modules may be read again
		if t := k.names.table; t != nil {
			t.cost = 0 // and so may kallsyms
		}
		f := strings.Fields(step.names)
		for i := 0; i < len(f); i += 2 {
			addr, _ := parseHex([]byte(f[i]))
			name, module, off, ok := k.SymbolAt(0xffffffffc0000000 + addr<<4)
			got := "-"
			if ok {
				got = module + ":" + name + "+" + strconv.FormatUint(off, 10)
			}
			if got != f[i+1] {
				t.Errorf("%s: at %s: %s, want %s", step.what, f[i], got, f[i+1])
			}
		}
		if name, _, off, _ := k.SymbolAt(0xffffffff81000110); name != "do_thing" || off != 16 {
			t.Errorf("%s: %s+%d in vmlinux", step.what, name, off)
		}
	}
}

// TestSymbolsReadRarely checks that for an address without a symbol, or in a module
// that stays loaded, kallsyms is read again at most once.
func TestSymbolsReadRarely(t *testing.T) {
	src := &counting{changing: changing{source: &fsSource{fsys: fstest.MapFS{}}}}
	src.kallsyms = "ffffffff81000000 T _text\nffffffffc0000100 t a_one\t[a]\n"
	k := newKernel(src)
	for range 100 {
		for _, addr := range []uint64{0x1000, 0xffffffffc0000110, 0xffffffff81000000} {
			if k.SymbolAt(addr); k.names.table != nil {
				k.names.table.cost = 0
			}
			k.names.checked = time.Time{}
		}
	}
	if src.reads > 1+3 {
		t.Errorf("kallsyms was read %d times for three addresses", src.reads)
	}
}

// counting counts the reads of kallsyms.
type counting struct {
	changing
	reads int
}

func (c *counting) read(name string) ([]byte, error) {
	if name == "kallsyms" {
		c.reads++
	}
	return c.changing.read(name)
}
