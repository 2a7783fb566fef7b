package runtime

import (
	"fmt"
	"strings"
	"testing"
)

// TestSumsAreAtomic runs every way of adding to a map on all CPUs at once, and
// checks that no addition is lost.
func TestSumsAreAtomic(t *testing.T) {
	const turns, rounds = 2000, 30
	add := []struct {
		stmt string // $n is the number of the iteration
		by   int64  // what one iteration adds
	}{
		{"@M++", 1},
		{"--@M", -1},
		{"@M += 3", 3},
		{"@M -= 2", -2},
		{"@M = @M + 1", 1},
		{"@M = @M - 3", -3},
		{"@M = 2 + @M", 2},
		{"@M = @M + 1 + 2", 3},
		{"@M = 5 + @M - 2", 3},
		{"@M = 1 + (@M - 4)", -3},
		{"@M = @M + $two", 2},
		{"@M = @M - $two * 2", -4},
		{"@M = @M + (int64)(pid > 0)", 1},
		{"@M = @M + (pid > 0 ? 2 : 1)", 2},
		{"@M[1] = @M[1] + 1", 1},
		{"@M[$two] = @M[$two] - $two", -2},
		{"@M[$n % 3] = @M[$n % 3] + 1", 1},
		{"@M[comm] = 1 + @M[comm]", 1},
		{"@M[$n & 1, comm] = @M[$n & 1, comm] + 4", 4},
		{`@M["a"] = @M["a"] + $two - 1`, 1},
		{"@M[cpu] = @M[cpu] + 1", 1},
		{"@M[(uint8)$n] = @M[(uint8)$n] + 1", 1},
	}
	var b strings.Builder
	fmt.Fprintf(&b, "begin { $two = pid > 0 ? 2 : 3; for ($n : 0..%d) {\n", turns)
	for i, a := range add {
		fmt.Fprintf(&b, "\t%s;\n", strings.ReplaceAll(a.stmt, "@M", fmt.Sprintf("@m%d", i)))
	}
	// The script itself reads the maps in its end probe, so they get no front
	// tables.
	b.WriteString("} }\nend {\n")
	for i, a := range add {
		if strings.Contains(a.stmt, "@M[") {
			fmt.Fprintf(&b, "for ($kv : @m%d) { print($kv); }\n", i)
		}
	}
	b.WriteString("}\n")
	s := loadScript(t, b.String())
	s.onAllCPUs(t, func(cpu int) {
		for range rounds {
			if err := runOn(s, "begin_1", cpu); err != nil {
				t.Error(err)
			}
		}
	})
	for i, a := range add {
		sum := uint64(0)
		for _, n := range s.numbers(t, fmt.Sprintf("@m%d", i)) {
			sum += n
		}
		if want := a.by * turns * rounds * int64(s.ncpu); int64(sum) != want {
			t.Errorf("%s: %d, want %d", a.stmt, int64(sum), want)
		}
	}
}
