package irtest

import (
	"strings"
	"testing"

	"github.com/gotrace/gotrace/codegen/ir"
)

const sample = `map "@x" hash key 8 value 8 max 4096
map rodata array key 4 value 6 max 1 flags 0x80 frozen init "hell\x00o"
map rb ringbuf key 0 value 0 max 4096
map zeros array key 4 value 40 max 1 init "a" 0*20 "b\x00c" 0*16

prog p0 kind "tracepoint"
func main(ctx)
b0:
	v0 = param 0
	v1 = load32 v0 +16
	v2 = const 3
	v3 = eq v1 v2
	br v3 b1 b2
b1:
	v4 = slot 16
	v5 = call get_current_pid_tgid
	store64 v4 +8 v5
	zero v4 8
	v6 = map "@x"
	v7 = call map_lookup_elem v6 v4
	br v7 b3 b2
b2: unlikely
	v8 = const 0
	ret v8
b3:
	v10:map = barrier v7
	atomicadd64 v10 v2
	v11 = mapvalue rodata +1
	copy v4 +8 v11 4
	v21 = xchg64 v10 +8 v2
	v12 = func cb
	v13 = call loop v2 v12 v4 v2
	jump b4
b4: preds b3 b4
	v14 = phi v2 v15
	v16 = const -1
	v15 = add v14 v16
	v17:map = add v10 v16
	br v15 b4 b5
b5:
	v18 = map rb
	v19 = const 8
	v20 = call ringbuf_reserve v18 v19 v2
	br v20 b6 b2
b6:
	call ringbuf_submit v20 v2
	ret v15
func cb(int slot)
b0:
	v0 = param 0
	ret v0
`

func TestPrintParse(t *testing.T) {
	m, err := Parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.String(); got != sample {
		t.Errorf("printed:\n%s", got)
	}
	if err := ir.Verify(m); err != nil {
		t.Error(err)
	}
	m2 := MustParse(m.String())
	if m2.String() != sample {
		t.Error("the second round differs")
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"bogus", `line 1: "bogus" outside a function`},
		{"map x hash key y", `line 1: "y" is not a number`},
		{"map x tree", `unknown map type "tree"`},
		{"prog p kind \"k\"\nfunc f(ctx)\nb0:\n\tv1 = frob v2", `line 4: unknown operation "frob"`},
		{"prog p kind \"k\"\nfunc f(ctx)\nb0:\n\tret v2", `line 4: v2 is not defined`},
		{"prog p kind \"k\"\nfunc f(ctx)\nb0:\n\tjump b7", `line 4: b7 is not defined`},
		{"prog p kind \"k\"\nfunc f(ctx)\nb0:\n\tv1 = call nope", `unknown helper "nope"`},
		{"prog p kind \"k\"\nfunc f(ctx)\nb0:\n\tadd v1 v2", `needs a name`},
		{"prog p kind \"k\"\nfunc f(wat)", `unknown type "wat"`},
		{"prog p kind \"k", `unterminated string`},
		{"prog p kind \"k\"\nfunc f(ctx)", `has no blocks`},
	} {
		_, err := Parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
}

func TestVerifyErrors(t *testing.T) {
	const head = "map m hash key 8 value 8 max 1\nmap rb ringbuf key 0 value 0 max 4096\nprog p kind \"k\"\nfunc main(ctx)\n"
	for _, c := range []struct{ body, want string }{
		{"b0:\nv0 = const 1", "no terminator"},
		{"b0:\nv0 = const 1\nv1 = add v0 v2\nv2 = const 2\nret v1", "v2 does not dominate its use"},
		{"b0:\nv0 = const 1\nv1 = load8 v0\nret v1", "v0 is int, not an address"},
		{"b0:\nv0 = slot 8\nret v0", "returns v0, which is slot"},
		{"b0:\nv0 = slot 8\nv1 = map m\nv2 = call map_lookup_elem v1 v0\nv3 = load8 v2\nret v3", "v2 may be null here"},
		{"b0:\nv0 = slot 8\nv1 = map m\nv2 = call map_lookup_elem v1 v0\nbr v2 b1 b2\nb1:\nv4 = const 1\nret v4\nb2:\nv3 = load8 v2\nret v3", "v2 may be null here"},
		{"b0:\nv0 = const 8\nv1 = map rb\nv2 = call ringbuf_reserve v1 v0 v0\nret v0", "neither submitted nor discarded"},
		{"b0:\nv0 = const 8\nv1 = map rb\nv2 = call ringbuf_reserve v1 v0 v0\nbr v2 b1 b2\nb1:\ncall ringbuf_submit v2 v0\ncall ringbuf_submit v2 v0\nret v0\nb2:\nret v0", "after it was submitted or discarded"},
		{"b0:\nv0 = const 8\nv1 = map rb\nv2 = call ringbuf_reserve v1 v0 v0\nbr v2 b1 b2\nb1:\njump b2\nb2:\nret v0", "submitted or discarded on some of the paths"},
		{"b0:\nv0 = param 0\nv1 = call get_current_pid_tgid\nv2:ctx = add v0 v1\nv3 = load8 v2\nret v3", "context address is not constant"},
		{"b0:\nv0 = const 1\nbr v0 b1 b2\nb1:\njump b3\nb2:\njump b3\nb3: preds b1 b2\nv1 = phi v0\nret v1", "1 arguments for 2 predecessors"},
		{"b0:\nv0 = const 1\njump b1\nb1:\nv1 = call ktime_get_ns v0\nret v1", "takes 0 arguments"},
	} {
		m, err := Parse(head + c.body)
		if err != nil {
			t.Errorf("%q: %v", c.body, err)
			continue
		}
		if err := ir.Verify(m); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q:\n%v, want %s", c.body, err, c.want)
		}
	}
}

func TestDom(t *testing.T) {
	m := MustParse(sample)
	f := m.Progs[0].Main
	d := ir.NewDom(f)
	b := func(id int) *ir.Block {
		for _, x := range f.Blocks {
			if x.ID == id {
				return x
			}
		}
		return nil
	}
	if d.IDom(b(2)) != b(0) || d.IDom(b(4)) != b(3) || !d.Dominates(b(3), b(6)) || d.Dominates(b(1), b(2)) {
		t.Error("dominators")
	}
	if d.LoopDepth(b(4)) != 1 || d.LoopDepth(b(5)) != 0 {
		t.Error("loops")
	}
}

func TestInterp(t *testing.T) {
	m := MustParse(`map out array key 4 value 8 max 1
prog p kind "k"
func main(ctx)
b0:
	v0 = param 0
	v1 = load32 v0 +4
	v9 = const 0
	v11 = const 1
	jump b1
b1: preds b0 b1
	v2 = phi v9 v3
	v4 = phi v1 v5
	v3 = add v2 v4
	v5 = sub v4 v11
	br v5 b1 b2
b2:
	v6 = mapvalue out
	store64 v6 v3
	ret v3
`)
	if err := ir.Verify(m); err != nil {
		t.Fatal(err)
	}
	mc := NewMachine(m, []byte{0, 0, 0, 0, 10, 0, 0, 0})
	got, err := mc.Run(m.Progs[0])
	if err != nil || got != 55 {
		t.Errorf("%d %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(text)
		if err != nil {
			return
		}
		s := m.String()
		m2, err := Parse(s)
		if err != nil {
			t.Fatalf("%v\n%s", err, s)
		}
		if s2 := m2.String(); s2 != s {
			t.Fatalf("%s\n--\n%s", s, s2)
		}
		if ir.Verify(m) == nil {
			ir.Verify(m2)
		}
	})
}
