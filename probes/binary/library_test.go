package binary

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// TestLinkerCache builds a cache in the format of ldconfig.
func TestLinkerCache(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	libs := [][2]string{{"libfoo.so.1", "/nonexistent/libfoo.so.1"}, {"libfoo.so.1", self}, {"libfoobar.so", self}}
	header := make([]byte, 48)
	copy(header, "glibc-ld.so.cache1.1")
	binary.LittleEndian.PutUint32(header[20:], uint32(len(libs)))
	strs := 48 + 24*len(libs)
	var entries, text []byte
	for _, l := range libs {
		e := make([]byte, 24)
		binary.LittleEndian.PutUint32(e[4:], uint32(strs+len(text)))
		text = append(append(text, l[0]...), 0)
		binary.LittleEndian.PutUint32(e[8:], uint32(strs+len(text)))
		text = append(append(text, l[1]...), 0)
		entries = append(entries, e...)
	}
	cache := append(append(header, entries...), text...)
	for name, want := range map[string]string{"libfoo": self, "libfoo.so.1": self, "libfoo.so": self, "libfoob": "", "foo": "", "libfoobar": self} {
		if got := findInCache("/", cache, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if got := findInCache("/", append([]byte("ld.so-1.7.0\x00 old"), cache...), name); got != want {
			t.Errorf("after an old cache: %s: %q, want %q", name, got, want)
		}
		for n := range cache {
			findInCache("/", cache[:n], name) // must not panic
		}
	}
}

// TestLibraryDirs checks that without a cache, libraries are found where the dynamic
// linkers of glibc and musl search, and by names that only musl's linker supports.
func TestLibraryDirs(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tree := func(libs ...string) string {
		root := t.TempDir()
		for _, lib := range libs {
			path := filepath.Join(root, lib)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if filepath.Ext(path) == ".so" && filepath.Base(path) == "libc.so" { // as on development machines
				err = os.WriteFile(path, []byte("/* GNU ld script */"), 0o644)
			} else {
				err = os.Symlink(self, path)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return root
	}
	glibc := tree("usr/lib/"+multiarch+"/libc.so", "lib/"+multiarch+"/libc.so.6", "lib/"+multiarch+"/libpthread.so.0",
		"usr/lib/libssl.so.1.1", "usr/lib/libssl.so.3", "usr/lib/libz.so.1.9.9", "usr/lib/libz.so.1.10.1", "usr/local/lib/libreadline.so.8", "usr/lib64/libreadline.so.7")
	musl := tree("lib/ld-musl-x86_64.so.1", "usr/lib/libssl.so.3", "usr/lib/libreadline.so.8.2", "opt/lib/libmine.so.2", "srv/libyours.so")
	if err := os.MkdirAll(filepath.Join(musl, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(musl, "etc/ld-musl-x86_64.path"), []byte("/lib\n/opt/lib:/srv"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ root, name, want string }{
		{glibc, "libc", "lib/" + multiarch + "/libc.so.6"},
		{glibc, "libc.so.6", "lib/" + multiarch + "/libc.so.6"},
		{glibc, "libpthread", "lib/" + multiarch + "/libpthread.so.0"},
		{glibc, "libssl", "usr/lib/libssl.so.3"},
		{glibc, "libssl.so.1.1", "usr/lib/libssl.so.1.1"},
		{glibc, "libz", "usr/lib/libz.so.1.10.1"},
		{glibc, "libz.so.1", "usr/lib/libz.so.1.10.1"},
		{glibc, "libreadline", "usr/lib64/libreadline.so.7"},
		{glibc, "libnone", ""},
		{glibc, "libss", ""},
		{musl, "libc", "lib/ld-musl-x86_64.so.1"},
		{musl, "libpthread", "lib/ld-musl-x86_64.so.1"},
		{musl, "libm.so.6", "lib/ld-musl-x86_64.so.1"},
		{musl, "libssl", "usr/lib/libssl.so.3"},
		{musl, "libreadline", "usr/lib/libreadline.so.8.2"},
		{musl, "libmine", "opt/lib/libmine.so.2"},
		{musl, "libyours.so", "srv/libyours.so"},
		{musl, "libnone", ""},
	} {
		want := c.want
		if want != "" {
			want = filepath.Join(c.root, want)
		}
		if got := FindLibrary(c.root, c.name); got != want {
			t.Errorf("%s: %q, want %q", c.name, got, want)
		}
	}
}
