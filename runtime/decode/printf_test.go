package decode

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/types"
)

// printer is a C program that prints each line of its input, a format and a number
// for it, as printf(3) does.
const printer = `
#include <stdio.h>
int main(void)
{
	char format[64];
	unsigned long long n;
	while (scanf("%63[^|]|%llu\n", format, &n) == 2) {
		printf(format, n);
		printf("|\n");
	}
}
`

// TestPrintf compares conversions of integers with those of the C library: every
// flag, width and precision, and every length of every type. The model here is only
// which 64-bit number is printed.
func TestPrintf(t *testing.T) {
	dir := t.TempDir()
	source, program := filepath.Join(dir, "printer.c"), filepath.Join(dir, "printer")
	if err := os.WriteFile(source, []byte(printer), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-o", program, source).CombinedOutput(); err != nil {
		t.Skipf("there is no C compiler: %v\n%s", err, out)
	}
	type conversion struct {
		text string
		t    *types.Type
		n    int64
	}
	var list []conversion
	var in bytes.Buffer
	integers := []*types.Type{types.TInt8, types.TUint8, types.TInt16, types.TUint16, types.TInt32, types.TUint32, types.TInt64, types.TUint64}
	numbers := []int64{0, 1, -1, 42, 127, 128, -129, 65535, 1 << 31, 1<<40 + 5, -1 << 63}
	lengths := map[string]uint{"hh": 8, "h": 16, "": 0, "l": 64, "ll": 64, "z": 64, "j": 64, "t": 64}
	add := func(spec, length, verb string, typ *types.Type, n int64) {
		list = append(list, conversion{"%" + spec + length + verb, typ, n})
		bits := lengths[length]
		switch {
		case bits != 0:
		case strings.Contains("oxX", verb): // an int, as for printf(3)
			bits = 32
		case verb == "u" && typ.Signed && extend(n, uint(8*typ.Size), true) == extend(n, 32, true) && extend(n, 32, true) < 0: // a negative int
			bits = 32
		default:
			bits = max(32, uint(8*typ.Size))
		}
		n = extend(n, uint(8*typ.Size), typ.Signed)
		n = extend(n, bits, verb == "d" || verb == "i")
		fmt.Fprintf(&in, "%%%sll%s|%d\n", spec, verb, uint64(n))
	}
	for _, verb := range []string{"d", "i", "u", "o", "x", "X"} {
		for flags := range 32 {
			var spec strings.Builder
			for i, f := range "-+ #0" {
				if flags>>i&1 != 0 {
					spec.WriteRune(f)
				}
			}
			for _, width := range []string{"", "1", "9", "30"} {
				for _, prec := range []string{"", ".0", ".3", ".25"} {
					for _, n := range numbers {
						add(spec.String()+width+prec, "", verb, types.TInt64, n)
					}
				}
			}
		}
		for length := range lengths {
			for _, typ := range integers {
				for _, n := range numbers {
					add("", length, verb, typ, n)
				}
			}
		}
	}
	cmd := exec.Command(program)
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(out), "|\n"), "|\n")
	if len(want) != len(list) {
		t.Fatalf("%d lines for %d conversions", len(want), len(list))
	}
	d := testDecoder(1024)
	wrong := 0
	for i, c := range list {
		got := printed(d, ParseFormat(c.text), c.t, scalar(c.t, c.n))
		if got != want[i] && wrong < 20 {
			wrong++
			t.Errorf("printf(%q) of the %s %d: %q, want %q", c.text, c.t, c.n, got, want[i])
		}
	}
	t.Logf("%d conversions", len(list))
}

// extend returns the number in the low bits of n.
func extend(n int64, bits uint, signed bool) int64 {
	n <<= 64 - bits
	if signed {
		return n >> (64 - bits)
	}
	return int64(uint64(n) >> (64 - bits))
}
