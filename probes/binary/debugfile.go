package binary

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/ulikunitz/xz"

	"github.com/gotrace/gotrace/runtime/outline"
)

// Where specifies where the separate debug files of a binary may be.
type Where struct {
	// Dirs are the directories to search first.
	Dirs []string
	// Root is the root directory of the process that uses the file, and Path the file's
	// path in it. Debug files are searched first in Root and then in this process's
	// root. If Path is "", it is the path with which the file was opened.
	Root, Path string
	// Fetch fetches the debug file for a build ID and returns its path, or "". It may
	// be nil.
	Fetch func(buildID string) string
}

// systemDebugDir is where distributions put the debug files of their packages.
const systemDebugDir = "/usr/lib/debug"

// roots returns the root directories in which paths are searched.
//
//go:noinline
func (w *Where) roots() []string {
	if w.Root == "" || w.Root == "/" {
		return []string{""}
	}
	return []string{w.Root, ""}
}

// places returns the possible paths of a debug file with a build ID and a name. The
// name is "" if the binary contains none. inDir is the directory of the binary.
func (w *Where) places(id, name, inDir string) (byID, byName []string) {
	below := func(dir string) string { return filepath.Join(dir, ".build-id", id[:2], id[2:]+".debug") }
	for _, dir := range w.Dirs {
		if id != "" {
			byID = append(byID, below(dir), filepath.Join(dir, id+".debug"))
		}
	}
	for _, root := range w.roots() {
		if id != "" {
			byID = append(byID, below(root+systemDebugDir))
		}
	}
	if name == "" {
		return byID, nil
	}
	for _, dir := range w.Dirs {
		byName = append(byName, filepath.Join(dir, name), filepath.Join(dir, inDir, name))
	}
	for _, root := range w.roots() {
		byName = append(byName,
			filepath.Join(root, inDir, name), filepath.Join(root, inDir, ".debug", name),
			filepath.Join(root+systemDebugDir, inDir, name))
	}
	return byID, byName
}

// findDebugFile opens the file to which a binary's debug information and symbols were
// moved. It finds the file by its build ID, by the name and checksum in the binary, or
// as NAME.debug in a directory that the user specified. It returns nil if there is
// none.
func (x *File) findDebugFile() *File {
	w, id := &x.Where, x.BuildID()
	if len(id) < 3 {
		id = ""
	}
	name, sum, linked := x.debugLink()
	inDir := x.dir()
	byID, byName := w.places(id, name, inDir)
	for _, path := range byID {
		if d := x.openDebugFile(path, id); d != nil {
			return d
		}
	}
	if linked {
		for _, path := range byName {
			if path != x.Path && fileSum(path) == sum {
				if d := x.openDebugFile(path, ""); d != nil {
					return d
				}
			}
		}
	}
	if id != "" { // without an ID it is unknown whether they belong together
		for _, dir := range w.Dirs {
			if d := x.openDebugFile(filepath.Join(dir, filepath.Base(x.own())+".debug"), id); d != nil {
				return d
			}
		}
		if w.Fetch != nil {
			if path := w.Fetch(id); path != "" {
				return x.openDebugFile(path, id)
			}
		}
	}
	return nil
}

// own returns the path of the file as seen by its user.
func (x *File) own() string {
	if x.Where.Path != "" {
		return x.Where.Path
	}
	return x.Path
}

// dir returns the directory of the file as seen by its user.
func (x *File) dir() string {
	path := x.own()
	if x.Where.Root == "" {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return filepath.Dir(path)
}

// openDebugFile opens a debug file for the machine of x. If id is not "", it must be the
// file's build ID, or the checksum of shared data.
func (x *File) openDebugFile(path, id string) *File {
	d, err := Open(path)
	if err != nil {
		return nil
	}
	if _, own := d.supplement(1); d.elf.Machine != x.elf.Machine || id != "" && d.BuildID() != id && own != id {
		d.Close()
		return nil
	}
	d.Where = x.Where
	if d.Where.Path == "" {
		d.Where.Path = x.Path
	}
	return d
}

// BuildID returns the build ID in hexadecimal, or "".
func (x *File) BuildID() string {
	if x.elf == nil {
		return ""
	}
	for _, s := range x.elf.Sections {
		if s.Type == elf.SHT_NOTE {
			if id := NoteID(x.bytesOf(s), x.elf.ByteOrder); id != "" {
				return id
			}
		}
	}
	for _, p := range x.elf.Progs { // files without a section table
		if p.Type == elf.PT_NOTE && p.Off <= uint64(len(x.data)) && p.Filesz <= uint64(len(x.data))-p.Off {
			if id := NoteID(x.data[p.Off:p.Off+p.Filesz], x.elf.ByteOrder); id != "" {
				return id
			}
		}
	}
	return ""
}

// NoteID returns the build ID in hex from a list of ELF notes, or "".
func NoteID(notes []byte, order binary.ByteOrder) string {
	const header, buildIDType = 12, 3
	for len(notes) >= header {
		name, desc := uint64(order.Uint32(notes)), uint64(order.Uint32(notes[4:]))
		typ := order.Uint32(notes[8:])
		notes = notes[header:]
		descAt := (name + 3) &^ 3
		if descAt > uint64(len(notes)) || desc > uint64(len(notes))-descAt {
			return ""
		}
		if typ == buildIDType && name == 4 && string(notes[:4]) == "GNU\x00" {
			return hex.EncodeToString(notes[descAt : descAt+desc])
		}
		notes = notes[min(descAt+(desc+3)&^3, uint64(len(notes))):]
	}
	return ""
}

// debugLink reads .gnu_debuglink: a file name, padding to a multiple of four, and
// the CRC-32 of that file.
func (x *File) debugLink() (name string, sum uint32, ok bool) {
	data := x.bytesOf(x.section(".gnu_debuglink"))
	n := bytes.IndexByte(data, 0)
	at := (n + 4) &^ 3
	if n <= 0 || at+4 > len(data) || strings.ContainsRune(string(data[:n]), '/') {
		return "", 0, false
	}
	return string(data[:n]), x.elf.ByteOrder.Uint32(data[at:]), true
}

// fileSum returns the CRC-32 of a file, or 0.
func fileSum(path string) uint32 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return 0
	}
	h := crc32.NewIEEE()
	if _, err := io.Copy(h, f); err != nil {
		return 0
	}
	return h.Sum32()
}

// supplement reads .debug_sup of DWARF 5: the name of the file with shared data and its
// checksum in hexadecimal. In that file, shared is 1 and the name is empty.
func (x *File) supplement(shared byte) (name, id string) {
	data := x.bytesOf(x.section(".debug_sup"))
	if len(data) < 3 || data[2] != shared {
		return "", ""
	}
	name, rest := cutText(data[3:])
	n, size := binary.Uvarint(rest)
	if size <= 0 || n != uint64(len(rest)-size) {
		return "", ""
	}
	return name, hex.EncodeToString(rest[size:])
}

// cutText returns the text at the beginning of data, which ends with 0, and what follows it.
//
//go:noinline
func cutText(data []byte) (text string, rest []byte) {
	before, rest, _ := bytes.Cut(data, []byte{0})
	return string(before), rest
}

// findAltFile opens the file with the data that several debug files of a distribution
// share. .gnu_debugaltlink contains its path and its build ID, or .debug_sup its path and its
// checksum.
func (x *File) findAltFile() *File {
	name, id := x.supplement(0)
	if path, rest := cutText(x.bytesOf(x.section(".gnu_debugaltlink"))); path != "" {
		name, id = path, hex.EncodeToString(rest)
	}
	if name == "" || len(id) < 4 {
		return nil
	}
	real, err := filepath.EvalSymlinks(x.Path)
	if err != nil {
		real = x.Path
	}
	dirs := []string{filepath.Dir(real)}
	for _, root := range x.Where.roots() {
		dirs = append(dirs, filepath.Join(root, x.dir())) // x may have been opened through the process that maps it
	}
	if filepath.IsAbs(name) {
		dirs = x.Where.roots()
	}
	paths, _ := x.Where.places(id, "", "")
	for _, dir := range dirs {
		paths = append(paths, filepath.Join(dir, name))
	}
	for _, dir := range x.Where.Dirs {
		paths = append(paths, filepath.Join(dir, filepath.Base(name)))
	}
	for _, path := range paths {
		if d := x.openDebugFile(path, id); d != nil {
			return d
		}
	}
	return nil
}

// maxMiniDebug is the maximum size of decompressed MiniDebugInfo, in bytes.
const maxMiniDebug = 64 << 20

// readMiniDebug opens the ELF file with symbols that distributions store, compressed,
// in .gnu_debugdata of stripped files. It returns nil if there is none.
func (x *File) readMiniDebug() *File {
	data := x.bytesOf(x.section(".gnu_debugdata"))
	if data == nil {
		return nil
	}
	plain, err := unxz(data, maxMiniDebug)
	if err != nil {
		return nil
	}
	m, err := newFile(plain)
	if err != nil {
		return nil
	}
	m.Path, m.Label = x.Path, x.Label
	return m
}

// unxz decompresses xz data to at most limit bytes.
func unxz(data []byte, limit int) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil { // a panic of the library on damaged data
			err = outline.Errorf("damaged xz data: %v", r)
		}
	}()
	if !smallDictionary(data, limit) {
		return nil, errors.New("damaged xz data")
	}
	r, err := xz.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	out, err = io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(out) > limit {
		return nil, outline.Errorf("more than %d bytes", limit)
	}
	return out, nil
}

// smallDictionary reports whether xz data requests a dictionary of at most limit bytes,
// which the library allocates at once.
func smallDictionary(data []byte, limit int) bool {
	const (
		streamHeader = 12
		lzma2        = 0x21
	)
	if len(data) < streamHeader+8 {
		return false
	}
	block := data[streamHeader:]
	at := 2
	for _, has := range []byte{0x40, 0x80} { // sizes before and after decompression
		if block[1]&has != 0 {
			_, n := binary.Uvarint(block[at:])
			if n <= 0 {
				return false
			}
			at += n
		}
	}
	if block[1]&3 != 0 || at+3 > len(block) || block[at] != lzma2 || block[at+1] != 1 {
		return false
	}
	code := block[at+2]
	return code < 40 && (2|int64(code)&1)<<(11+code>>1) <= int64(limit)
}
