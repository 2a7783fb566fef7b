package binary

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMapArchived finds members of an archive wherever they are in it.
func TestMapArchived(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	add := func(name string, method uint16, data []byte) {
		t.Helper()
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err == nil {
			_, err = w.Write(data)
		}
		if err == nil {
			err = z.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	page := os.Getpagesize()
	odd, even := bytes.Repeat([]byte("odd"), 1000), bytes.Repeat([]byte("even"), 3000)
	add("lib/odd.so", zip.Store, odd)
	at, err := f.Seek(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	// Between two members are a data descriptor of 16 bytes, the pad with its own one,
	// and the headers, of 30 bytes and the name.
	const names = len("pad") + len("lib/even.so")
	pad := page - (int(at)+3*16-16+2*30+names)%page
	add("pad", zip.Store, make([]byte, pad))
	add("lib/even.so", zip.Store, even)
	add("lib/small.so", zip.Deflate, odd)
	add("lib/empty.so", zip.Store, nil)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		member  string
		want    []byte
		aligned bool
		err     string
	}{
		{"lib/odd.so", odd, false, ""},
		{"lib/even.so", even, true, ""},
		{"lib/small.so", nil, false, "compressed"},
		{"lib/empty.so", nil, false, "outside"},
		{"lib/none.so", nil, false, "does not contain"},
	} {
		data, off, err := mapArchived(f, st.Size(), c.member)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.member, err, c.err)
			}
			continue
		}
		if err != nil || !bytes.Equal(data, c.want) || (off%uint64(page) == 0) != c.aligned {
			t.Errorf("%s: %d bytes at %d, %v", c.member, len(data), off, err)
			continue
		}
		there := make([]byte, len(c.want))
		if _, err := f.ReadAt(there, int64(off)); err != nil || !bytes.Equal(there, c.want) {
			t.Errorf("%s is not at %d: %v", c.member, off, err)
		}
	}
	if _, _, err := mapArchived(f, 10, "lib/odd.so"); err == nil {
		t.Error("ten bytes are an archive")
	}
}
