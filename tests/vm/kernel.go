package vm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Kernel is a kernel to test under: the newest package of a Debian suite with a
// name that matches.
type Kernel struct {
	Name    string // its name in tests and fixtures: major.minor, or the major release if Debian updates the minor one
	Suite   string
	Package *regexp.Regexp
	Headers *regexp.Regexp // the package of headers that do not depend on a configuration; nil in Nightly
}

// Kernels lists the kernels under test, oldest first. They are of the cloud
// flavour, the smallest with BTF and all tracing features.
func Kernels() []Kernel {
	return []Kernel{
		{"5.10", "bullseye", regexp.MustCompile(`^linux-image-5\.10\.[\d.]+-\d+-cloud-amd64$`), regexp.MustCompile(`^linux-headers-5\.10\.[\d.]+-\d+-common$`)},
		{"6.1", "bookworm", regexp.MustCompile(`^linux-image-6\.1\.[\d.]+-\d+-cloud-amd64$`), regexp.MustCompile(`^linux-headers-6\.1\.[\d.]+-\d+-common$`)},
		{"6.12", "bookworm-security", regexp.MustCompile(`^linux-image-6\.12\.\d+\+deb12-cloud-amd64$`), regexp.MustCompile(`^linux-headers-6\.12\.\d+\+deb12-common$`)},
		{"7", "sid", regexp.MustCompile(`^linux-binary-[789]\.[\d.]+\+deb\d+-cloud-amd64$`), regexp.MustCompile(`^linux-headers-[789]\.[\w.+]*-common$`)},
	}
}

// Nightly lists more kernels, between and after those of Kernels, oldest first.
// Only the nightly tests run under them.
func Nightly() []Kernel {
	return []Kernel{
		{"6.16", "trixie-backports", regexp.MustCompile(`^linux-image-6\.16\.\d+\+deb\d+-cloud-amd64$`), nil},
		{"6.19", "trixie-backports", regexp.MustCompile(`^linux-binary-6\.19\.\d+\+deb\d+-cloud-amd64$`), nil},
		{"7.0", "trixie-backports", regexp.MustCompile(`^linux-binary-7\.0\.\d+\+deb\d+-cloud-amd64$`), nil},
		{"next", "experimental", regexp.MustCompile(`^linux-binary-[789][\d.]*(~rc\d+)?(\+deb\d+)?-cloud-amd64$`), nil},
	}
}

// Find returns the kernel with the given name.
func Find(name string) (Kernel, error) {
	var names []string
	for _, k := range append(Kernels(), Nightly()...) {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return Kernel{}, fmt.Errorf("no kernel %q; there are %s", name, strings.Join(names, ", "))
}

const (
	busybox = "/bin/busybox"
	keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
)

// Setup installs the Debian packages that guests need. If that is not possible, the error
// names the missing packages.
func Setup() error {
	var missing []string
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		missing = append(missing, "qemu-system-x86")
	}
	if _, err := os.Stat(busybox); err != nil {
		missing = append(missing, "busybox-static")
	}
	return Install(missing...)
}

// Install installs the named Debian packages, if any.
func Install(packages ...string) error {
	if len(packages) == 0 {
		return nil
	}
	what := strings.Join(packages, ", ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%s missing, and this is not Debian", what)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s missing, and installing needs root", what)
	}
	if err := aptGet("", nil, "update"); err != nil {
		return err
	}
	return aptGet("", nil, append([]string{"install", "-y", "--no-install-recommends"}, packages...)...)
}

// aptGet runs apt-get in a directory, or in the current one if dir is "".
func aptGet(dir string, options []string, args ...string) error {
	cmd := exec.Command("apt-get", append(append([]string{"-q"}, options...), args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// Image returns the path of the kernel's image in the user's cache. If it is
// not there, Image downloads its package first.
func (k Kernel) Image() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "gotrace-vm")
	image := filepath.Join(cache, "vmlinuz-"+k.Name)
	if st, err := os.Stat(image); err == nil && st.Size() > 0 {
		return image, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := k.fetch(dir, image); err != nil {
		return "", fmt.Errorf("kernel %s of Debian %s: %w", k.Name, k.Suite, err)
	}
	return image, nil
}

// fetch downloads the newest package of the kernel and moves it to image.
func (k Kernel) fetch(dir, image string) error {
	unpacked, err := k.Unpack(k.Package, dir)
	if err != nil {
		return err
	}
	found, err := findImage(unpacked)
	if err != nil {
		return err
	}
	if err := keepModule(unpacked, k.module(filepath.Dir(image))); err != nil {
		return err
	}
	return os.Rename(found, image)
}

// Unpack downloads the newest package of the kernel's suite with a name that matches, and
// returns the directory below dir in which it is unpacked. It uses separate package lists
// in dir and does not change those of the machine.
func (k Kernel) Unpack(match *regexp.Regexp, dir string) (string, error) {
	uri, err := mirror(strings.HasSuffix(k.Suite, "-security"))
	if err != nil {
		return "", err
	}
	for _, d := range []string{"lists/partial", "cache/archives/partial", "package"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return "", err
		}
	}
	source := fmt.Sprintf("deb [arch=amd64 signed-by=%s] %s %s main\n", keyring, uri, k.Suite)
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(source), 0o644); err != nil {
		return "", err
	}
	options := []string{
		"-o", "Dir::Etc::sourcelist=" + filepath.Join(dir, "sources.list"),
		"-o", "Dir::Etc::sourceparts=-",
		"-o", "Dir::State::lists=" + filepath.Join(dir, "lists"),
		"-o", "Dir::Cache=" + filepath.Join(dir, "cache"),
		"-o", "APT::Sandbox::User=root",
		"-o", "Acquire::Check-Valid-Until=false", // for archived suites
		"-o", "Acquire::Languages=none",
	}
	if err := aptGet(dir, options, "update"); err != nil {
		return "", err
	}
	names, err := exec.Command("apt-cache", append(options, "pkgnames", "linux-")...).Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache: %w", err)
	}
	name := newest(match, strings.Fields(string(names)))
	if name == "" {
		return "", fmt.Errorf("no package matches %s", match)
	}
	if err := aptGet(dir, options, "download", name); err != nil {
		return "", err
	}
	debs, _ := filepath.Glob(filepath.Join(dir, name+"_*.deb"))
	if len(debs) != 1 {
		return "", fmt.Errorf("%s was not downloaded", name)
	}
	unpacked := filepath.Join(dir, "package")
	if out, err := exec.Command("dpkg-deb", "--extract", debs[0], unpacked).CombinedOutput(); err != nil {
		return "", fmt.Errorf("dpkg-deb: %w: %s", err, out)
	}
	return unpacked, nil
}

// module returns the path in the cache of the module that guests load, so that
// a module with types and functions exists. Not every package has modules.
func (k Kernel) module(cache string) string {
	return filepath.Join(cache, moduleName+"-"+k.Name+".ko")
}

// moduleName is the name of a module that needs no hardware and no other
// module.
const moduleName = "tun"

// keepModule copies the module of an unpacked package, if it has one.
func keepModule(dir, to string) error {
	for _, lib := range []string{"lib", "usr/lib"} {
		found, _ := filepath.Glob(filepath.Join(dir, lib, "modules/*/kernel/drivers/net", moduleName+".ko*"))
		if len(found) == 0 {
			continue
		}
		if strings.HasSuffix(found[0], ".xz") {
			if out, err := exec.Command("xz", "--decompress", found[0]).CombinedOutput(); err != nil {
				return fmt.Errorf("xz: %w: %s", err, out)
			}
		}
		return os.Rename(strings.TrimSuffix(found[0], ".xz"), to)
	}
	return nil
}

// newest returns the matching name with the highest version.
func newest(match *regexp.Regexp, names []string) string {
	names = slices.DeleteFunc(names, func(n string) bool { return !match.MatchString(n) })
	if len(names) == 0 {
		return ""
	}
	return slices.MaxFunc(names, compareVersions)
}

var digits = regexp.MustCompile(`\d+`)

// compareVersions orders names by the numbers in them.
func compareVersions(a, b string) int {
	numbers := func(s string) (out []string) {
		for _, n := range digits.FindAllString(s, -1) {
			out = append(out, fmt.Sprintf("%12s", n))
		}
		return out
	}
	return slices.Compare(numbers(a), numbers(b))
}

func findImage(dir string) (string, error) {
	for _, pattern := range []string{"boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz*", "usr/lib/linux/*/vmlinuz*", "usr/lib/*/vmlinuz*", "usr/lib/*/*/vmlinuz*"} {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) > 0 {
			return found[0], nil
		}
	}
	return "", errors.New("the package holds no kernel image")
}

// mirror returns the Debian mirror (for security updates, if set) that this
// machine uses, from apt's sources in either format.
func mirror(security bool) (string, error) {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*.sources")
	for _, name := range append(files, "/etc/apt/sources.list") {
		data, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line)
			if len(fields) < 2 || fields[0] != "URIs:" && fields[0] != "deb" {
				continue
			}
			for _, f := range fields[1:] {
				if strings.Contains(f, "://") && strings.Contains(f, "debian") && strings.Contains(f, "security") == security {
					return f, nil
				}
			}
		}
	}
	return "", errors.New("apt's sources name no Debian mirror")
}
