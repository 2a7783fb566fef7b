package decode

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

// scalar returns an integer of type t as a record holds it.
func scalar(t *types.Type, n int64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(n))
	return b[:t.Size]
}

func str0(s string, size int) []byte {
	b := make([]byte, size)
	copy(b, s)
	return b
}

func buffer(s string, size int) []byte {
	return append(binary.NativeEndian.AppendUint32(nil, uint32(len(s))), str0(s, size)...)
}

// printed formats a format string with the same value for every argument.
func printed(d *Decoder, f *Format, t *types.Type, data []byte) string {
	var out []byte
	for i := range f.Pieces {
		switch p := &f.Pieces[i]; {
		case p.Takes():
			out = p.Append(d, out, t, data)
		case p.Verb == '%':
			out = append(out, '%')
		default:
			out = append(out, p.Text...)
		}
	}
	return string(out)
}

func testDecoder(maxStrlen int) *Decoder {
	return &Decoder{MaxStrlen: maxStrlen, Trailer: "..", Text: func(v value.Value) string { return fmt.Sprint(v) }}
}

func TestFormat(t *testing.T) {
	d := testDecoder(1024)
	str8, buf8 := types.NewString(8), types.NewBuffer(8)
	enum := &types.Type{Kind: types.Enum, Size: 4, Consts: &types.EnumDef{Values: []types.EnumValue{{Name: "ONE", Value: 1}}}}
	for _, c := range []struct {
		format string
		t      *types.Type
		data   []byte
		want   string
	}{
		{"%d", types.TInt32, scalar(types.TInt32, -7), "-7"},
		{"%i", types.TInt8, scalar(types.TInt8, -7), "-7"},
		{"[%5d]", types.TInt64, scalar(types.TInt64, 42), "[   42]"},
		{"[%-5d]", types.TInt64, scalar(types.TInt64, 42), "[42   ]"},
		{"[%05d]", types.TInt64, scalar(types.TInt64, 42), "[00042]"},
		{"[%05d]", types.TInt64, scalar(types.TInt64, -42), "[-0042]"},
		{"[%-05d]", types.TInt64, scalar(types.TInt64, 42), "[42   ]"},
		{"[%+d]", types.TInt64, scalar(types.TInt64, 42), "[+42]"},
		{"[% d]", types.TInt64, scalar(types.TInt64, 42), "[ 42]"},
		{"[%.3d]", types.TInt64, scalar(types.TInt64, 5), "[005]"},
		{"[%8.5d]", types.TInt64, scalar(types.TInt64, -42), "[  -00042]"},
		{"[%08.5d]", types.TInt64, scalar(types.TInt64, 42), "[   00042]"},
		{"[%.0d]", types.TInt64, scalar(types.TInt64, 0), "[]"},
		// The width of a number is that of its type, at least 32 bits, or that of
		// its length modifier.
		{"%d", types.TUint64, scalar(types.TUint64, 10000000000), "10000000000"},
		{"%d", types.TUint32, scalar(types.TUint32, -1), "-1"},
		{"%u", types.TUint32, scalar(types.TUint32, -1), "4294967295"},
		{"%u", types.TInt8, scalar(types.TInt8, -1), "4294967295"},
		{"%x", types.TInt8, scalar(types.TInt8, -1), "ffffffff"},
		{"%lx", types.TInt8, scalar(types.TInt8, -1), "ffffffffffffffff"},
		{"%x", types.TInt64, scalar(types.TInt64, -1), "ffffffff"},
		{"%lx", types.TInt64, scalar(types.TInt64, -1), "ffffffffffffffff"},
		{"%#X", types.TInt64, scalar(types.TInt64, 0x123456789ab), "0X456789AB"},
		{"%o", types.TInt64, scalar(types.TInt64, 1<<32|8), "10"},
		{"%u", types.TInt64, scalar(types.TInt64, -1), "4294967295"},
		{"%u", types.TInt64, scalar(types.TInt64, -1<<31), "2147483648"},
		{"%u", types.TInt64, scalar(types.TInt64, -1<<31-1), "18446744071562067967"},
		{"%lu", types.TInt64, scalar(types.TInt64, -1), "18446744073709551615"},
		{"%u", types.TUint64, scalar(types.TUint64, 1<<40), "1099511627776"},
		{"%u", types.TUint64, scalar(types.TUint64, -1), "18446744073709551615"},
		{"%hhd", types.TInt64, scalar(types.TInt64, 1000), "-24"},
		{"%hd", types.TInt64, scalar(types.TInt64, 100000), "-31072"},
		{"%hhx", types.TInt64, scalar(types.TInt64, 511), "ff"},
		{"%hx", types.TInt64, scalar(types.TInt64, 0x12345), "2345"},
		{"%lld", types.TInt64, scalar(types.TInt64, -1<<63), "-9223372036854775808"},
		{"%zu", types.TUint64, scalar(types.TUint64, 7), "7"},
		{"%jd", types.TUint64, scalar(types.TUint64, 7), "7"},
		{"%td", types.TUint64, scalar(types.TUint64, 7), "7"},
		{"%o", types.TInt64, scalar(types.TInt64, 8), "10"},
		{"%#o", types.TInt64, scalar(types.TInt64, 8), "010"},
		{"%#o", types.TInt64, scalar(types.TInt64, 0), "0"},
		{"%#x", types.TInt64, scalar(types.TInt64, 255), "0xff"},
		{"%#X", types.TInt64, scalar(types.TInt64, 255), "0XFF"},
		{"%#x", types.TInt64, scalar(types.TInt64, 0), "0"},
		{"[%#06x]", types.TInt64, scalar(types.TInt64, 255), "[0x00ff]"},
		{"[%8x]", types.TInt64, scalar(types.TInt64, 255), "[      ff]"},
		{"%p", types.TUint64, scalar(types.TUint64, 255), "0xff"},
		{"%p", types.TUint64, scalar(types.TUint64, 0), "0"},
		{"[%6p]", types.TUint64, scalar(types.TUint64, 255), "[  0xff]"},
		{"%c", types.TInt64, scalar(types.TInt64, 65), "A"},
		{"[%3c|%-3c]", types.TInt64, scalar(types.TInt64, 65), "[  A|A  ]"},
		{"%d %s", types.TBool, scalar(types.TBool, 1), "1 true"},
		{"%d %s", enum, scalar(enum, 1), "1 ONE"},
		{"%s", types.TInt8, scalar(types.TInt8, -3), "-3"},
		{"%s", types.TUint64, scalar(types.TUint64, -1), "18446744073709551615"},
		{"[%s]", str8, str0("abc", 8), "[abc]"},
		{"[%5s|%-5s]", str8, str0("abc", 8), "[  abc|abc  ]"},
		{"[%05s]", str8, str0("abc", 8), "[00abc]"},
		{"[%.2s]", str8, str0("abc", 8), "[ab]"},
		{"[%5.2s]", str8, str0("abc", 8), "[   ab]"},
		{"[%.2s]", str8, str0("aé", 8), "[a]"},
		{"[%4s]", str8, str0("aé", 8), "[  aé]"},
		{"[%s]", str8, str0("", 8), "[]"},
		{"[%r]", buf8, buffer("ab\x00\xff~", 8), `[ab\x00\xff~]`},
		{"[%rx]", buf8, buffer("ab\x01", 8), `[\x61\x62\x01]`},
		{"[%rh]", buf8, buffer("ab\x01", 8), `[61 62 01]`},
		{"[%6r|%-6r]", buf8, buffer("ab", 8), `[    ab|ab    ]`},
		{"%gr", types.TUint32, scalar(types.TUint32, 0xdc0), "GFP_KERNEL|__GFP_ZERO"},
		{"%gr", types.TUint32, scalar(types.TUint32, 0x80000001-1<<32), "GFP_DMA|0x80000000"},
		{"%gr", types.TUint32, scalar(types.TUint32, 0), "0"},
		{"100%% %d", types.TInt64, scalar(types.TInt64, 1), "100% 1"},
		{"%5% %d", types.TInt64, scalar(types.TInt64, 1), "% 1"},
		{"%q %d %", types.TInt64, scalar(types.TInt64, 1), "%q 1 %"},
		{"%*d", types.TInt64, scalar(types.TInt64, 1), "1"},
	} {
		f := ParseFormat(c.format)
		if got := printed(d, f, c.t, c.data); got != c.want {
			t.Errorf("printf(%q) of a %s: %q, want %q", c.format, c.t, got, c.want)
		}
		for i := range f.Pieces {
			if p := &f.Pieces[i]; p.Takes() && !p.Verb.Accepts(c.t) {
				t.Errorf("%s is refused for %s", p.Text, c.t)
			}
		}
	}
}

func TestFormatTruncated(t *testing.T) {
	for in, want := range map[string]string{"abc": "abc", "abcd": "abcd..", "": ""} {
		if got := printed(testDecoder(4), ParseFormat("%s"), types.NewString(5), str0(in, 5)); got != want {
			t.Errorf("%q prints as %q, want %q", in, got, want)
		}
	}
}

// FuzzFormat checks for any format that parsing ends, keeps all text and reads no
// more than it reports.
func FuzzFormat(f *testing.F) {
	for _, s := range []string{"", "%", "%%", "%5.3lld", "%-+ #0*.*hhx", "%rx%rh%gr%g", "a%qb", "%99999999999d"} {
		f.Add(s)
	}
	d := testDecoder(1024)
	f.Fuzz(func(t *testing.T, s string) {
		p := ParseFormat(s)
		joined, args := "", 0
		for _, piece := range p.Pieces {
			joined += piece.Text
			if piece.Takes() {
				args++
			}
		}
		if joined != s {
			t.Fatalf("%q became %q", s, joined)
		}
		if args != p.NumArgs() {
			t.Fatalf("%q takes %d arguments and says %d", s, args, p.NumArgs())
		}
		printed(d, p, types.TInt64, scalar(types.TInt64, 5))
	})
}
