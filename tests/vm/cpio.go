package vm

import (
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// archive writes a cpio archive in the format of an initramfs ("newc": a header
// of hexadecimal fields, the name, and the data, each padded to four bytes). It
// is not compressed: unpacking costs the emulated CPU more time than QEMU saves
// by reading less.
type archive struct {
	w     io.Writer
	n     int64 // bytes written
	inode int
	made  map[string]bool // directories written so far
	err   error
}

func newArchive(w io.Writer) *archive { return &archive{w: w, made: map[string]bool{}} }

const (
	modeDir  = 0o040000
	modeFile = 0o100000
)

// dir adds a directory and its parents.
func (a *archive) dir(name string) {
	if name == "." || a.made[name] {
		return
	}
	a.dir(path.Dir(name))
	a.made[name] = true
	a.entry(name, modeDir|0o755, 0, strings.NewReader(""))
}

// file adds a file with the given content.
func (a *archive) file(name string, perm uint32, data string) {
	a.dir(path.Dir(name))
	a.entry(name, modeFile|perm, int64(len(data)), strings.NewReader(data))
}

// copy adds a copy of a file of the host, with its permissions.
func (a *archive) copy(name, src string) {
	f, err := os.Open(src)
	if err != nil {
		a.fail(err)
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		a.fail(err)
		return
	}
	a.dir(path.Dir(name))
	a.entry(name, modeFile|uint32(st.Mode().Perm()), st.Size(), f)
}

// close ends the archive and returns the first error of all calls.
func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, 0, strings.NewReader(""))
	return a.err
}

func (a *archive) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

func (a *archive) entry(name string, mode uint32, size int64, data io.Reader) {
	a.inode++
	fields := [13]int64{
		int64(a.inode), int64(mode), 0, 0, // inode, mode, owner, group
		1, 0, size, // links, time, size
		0, 0, 0, 0, // device of the archive, device of the node
		int64(len(name) + 1), 0, // name with its NUL, checksum (unused)
	}
	header := "070701"
	for _, f := range fields {
		header += fmt.Sprintf("%08x", f)
	}
	a.copyN(strings.NewReader(header+name+"\x00"), int64(len(header)+len(name)+1))
	a.pad()
	a.copyN(data, size)
	a.pad()
}

func (a *archive) copyN(r io.Reader, n int64) {
	if a.err != nil {
		return
	}
	got, err := io.CopyN(a.w, r, n)
	a.n += got
	a.fail(err)
}

func (a *archive) pad() {
	if n := -a.n & 3; n > 0 {
		a.copyN(strings.NewReader("\x00\x00\x00"), n)
	}
}
