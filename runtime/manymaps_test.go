package runtime

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// TestManyMaps loads programs with more maps than the kernel allows one program to
// use.
func TestManyMaps(t *testing.T) {
	for _, n := range []int{30, 60, 120} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var b strings.Builder
			b.WriteString("begin {\n")
			for i := range 2 * n {
				fmt.Fprintf(&b, "\t@m%d[%d, comm] = sum(%d); @s%d[\"a%d\"]++; @u%d = count();\n", i%n, i, i+1, i%n, i/n, i%n)
			}
			b.WriteString("}\n")
			s := loadScript(t, b.String())
			const rounds = 5
			s.onAllCPUs(t, func(cpu int) {
				for range rounds {
					if err := runOn(s, "begin_1", cpu); err != nil {
						t.Error(err)
					}
				}
			})
			runs := uint64(rounds * s.ncpu)
			for i := range n {
				s.want(t, "sums", fmt.Sprintf("@m%d", i), 2, runs*uint64(2*i+n+2))
				s.want(t, "strings", fmt.Sprintf("@s%d", i), 2, runs*2)
				s.want(t, "no keys", fmt.Sprintf("@u%d", i), 1, runs*2)
			}
			// Clearing one map must not clear another.
			if err := s.env.Maps().Clear("@m1"); err != nil {
				t.Fatal(err)
			}
			if err := s.env.Maps().Zero("@s2"); err != nil {
				t.Fatal(err)
			}
			s.want(t, "cleared", "@m1", 0, 0)
			s.want(t, "zeroed", "@s2", 2, 0)
			s.want(t, "kept", "@m2", 2, runs*uint64(2*2+n+2))
			s.want(t, "kept", "@s1", 2, runs*2)
		})
	}
}

// TestSharedMaps runs every operation of programs on maps that share hash maps.
func TestSharedMaps(t *testing.T) {
	const n = 80
	var b strings.Builder
	b.WriteString("begin {\n")
	for i := range n {
		fmt.Fprintf(&b, "\t@a%d[%d] = %d; @a%d[%d] = 1; @b%d[%d] = count(); @b%d[pid] = count(); @t%d[\"x\", %d] = \"text%d\";\n", i, i, i, i, i+1000, i, i, i, i, i, i)
	}
	b.WriteString(`
	for ($kv : @a5) { @keys += $kv.0; @values += $kv.1; }
	for ($kv : @b6) { @counted += (uint64)$kv.1; }
	@len = len(@a7);
	@gone = delete(@a8, 8) + delete(@a8, 9) * 10 + has_key(@a9, 8) * 100 + has_key(@a9, 9) * 1000;
	if (find(@a10, 10, $v)) { @found = $v; }
	if (@t11["x", 11] == "text11" && @t12["x", 11] == "") { @text = 1; }
	@a13[13]++; @a13[13] += 5; @read = @a13[13]; @sum = (uint64)@b14[14];
	@a15[15] *= 3; @old = @a15[15]++;
}
`)
	text := strings.Replace(b.String(), "begin {\n", "begin {\n\tlet $v;\n", 1)
	s := loadScript(t, text)
	shared := 0
	for _, m := range s.obj.Maps {
		if m.Number > 0 {
			shared++
		}
	}
	if shared < 2*n {
		t.Fatalf("only %d maps share hash maps", shared)
	}
	if err := runOn(s, "begin_1", 0); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint64{
		"@keys": 5 + 1005, "@values": 5 + 1, "@counted": 2, "@len": 2, "@gone": 1 + 1000, "@found": 10, "@text": 1,
		"@read": 13 + 1 + 5, "@sum": 1, "@old": 45,
	} {
		got := s.numbers(t, name)
		if len(got) != 1 || got[""] != want {
			t.Errorf("%s is %v, want %d", name, got, want)
		}
	}
	if got := s.numbers(t, "@a8"); len(got) != 1 {
		t.Errorf("@a8 after a deletion: %v", got)
	}
	key := binary.NativeEndian.AppendUint16(nil, 20)
	if got := s.numbers(t, "@a20"); len(got) != 2 || got[string(key)] != 20 {
		t.Errorf("@a20: %v", got)
	}
}
