// Command constants creates the table of the constants that the headers of the kernels
// under test define. Scripts can use them on machines without headers:
//
//	go run ./tests/constants
//
// It reads the header packages of Debian, evaluates all integer constants, compresses
// the table by zopfli (Debian's package), which takes half a minute and saves 13 kB, and
// writes lang/cdecl/constants.bin. See Table.Encode in package cdecl for the format.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/cdecl"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/tests/vm"
)

const out = "lang/cdecl/constants.bin"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "constants:", err)
		os.Exit(1)
	}
}

func run() error {
	t := &cdecl.Table{Headers: map[string]bool{}, Functions: map[string]string{}}
	for _, k := range vm.Kernels() {
		dir, err := os.MkdirTemp("", "gotrace-constants-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		unpacked, err := k.Unpack(k.Headers, dir)
		if err != nil {
			return fmt.Errorf("headers of kernel %s: %w", k.Name, err)
		}
		roots, err := filepath.Glob(filepath.Join(unpacked, "usr/src/linux-headers-*"))
		if err != nil || len(roots) != 1 {
			return fmt.Errorf("headers of kernel %s: not one directory but %q", k.Name, roots)
		}
		values, err := read(roots[0], t)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %d constants\n", k.Name, len(values))
		t.Kernels = append(t.Kernels, cdecl.TableKernel{Name: k.Name, Values: values})
	}
	data, err := deflate(t.Encode())
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes\n", out, len(data))
	return os.WriteFile(out, data, 0o644)
}

// deflate compresses data in the format of compress/flate.
func deflate(data []byte) ([]byte, error) {
	f, err := os.CreateTemp("", "gotrace-constants-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return exec.Command("zopfli", "--deflate", "--i15", "-c", f.Name()).Output()
}

// trees are the directories of headers in reading order, with the prefix of
// their paths in an #include. If deep is set, constants are read from their
// subdirectories too; otherwise only the names of the headers there are kept.
var trees = []struct {
	dir, prefix string
	deep        bool
}{
	{"include/uapi/asm-generic", "asm-generic/", false},
	{"arch/x86/include/uapi/asm", "asm/", false},
	{"include/uapi/linux", "linux/", true},
	{"include/linux", "linux/", false},
	{"include/net", "net/", false},
	{"include/vdso", "vdso/", false},
	{"include/asm-generic", "asm-generic/", false},
	{"arch/x86/include/asm", "asm/", false},
	{"include/uapi", "uapi/", false},
}

// configured lists the options of Debian's kernels that constants depend on.
// Constants that depend on other options are left out.
var configured = map[string]string{
	"CONFIG_64BIT": "1", "CONFIG_X86_64": "1", "CONFIG_X86": "1", "CONFIG_SMP": "1", "CONFIG_MMU": "1",
	"CONFIG_HZ": "250", "CONFIG_PAGE_SHIFT": "12", "CONFIG_NUMA": "1", "CONFIG_NET": "1", "CONFIG_BLOCK": "1",
}

// functions lists the macros with parameters that scripts use.
var functions = []string{
	"MAJOR", "MINOR", "MKDEV", "S_ISREG", "S_ISDIR", "S_ISCHR", "S_ISBLK", "S_ISFIFO", "S_ISLNK", "S_ISSOCK",
	"_IOC_DIR", "_IOC_TYPE", "_IOC_NR", "_IOC_SIZE", "_IOC", "_IO", "BIT",
}

// read evaluates the constants of one kernel's headers, and adds to t the parts
// that all kernels share.
func read(root string, t *cdecl.Table) (map[string]cdecl.Const, error) {
	var diags source.Diags
	defines := map[string]string{"__KERNEL__": "1"}
	for k, v := range configured {
		defines[k] = v
	}
	// The C library leaves these parts of the headers to the kernel, unless it is included
	// first.
	compat, err := os.ReadFile(filepath.Join(root, "include/uapi/linux/libc-compat.h"))
	if err != nil {
		return nil, err
	}
	for _, name := range shared.FindAllString(string(compat), -1) {
		defines[name] = "1"
	}
	u := cdecl.NewUnit(cdecl.Includes{Defines: defines, Alone: true}, &diags)
	for _, tree := range trees {
		top := filepath.Join(root, tree.dir)
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".h" {
				return err
			}
			rel, err := filepath.Rel(top, path)
			if err != nil {
				return err
			}
			t.Headers[tree.prefix+filepath.ToSlash(rel)] = true
			if tree.dir == "include/uapi/asm-generic" { // asm/ has the others by these names
				t.Headers["asm/"+filepath.ToSlash(rel)] = true
			}
			if tree.prefix == "uapi/" || !tree.deep && strings.Contains(rel, "/") {
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			f := source.NewFile(path, decided(string(text)))
			u.Add(source.Span{File: f, End: len(f.Text)})
			collectFunctions(f.Text, t)
			return nil
		})
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
	// The kernel's check of the type of an ioctl is not a constant expression.
	f := source.NewFile("ioctl", "#define _IOC_TYPECHECK(t) (sizeof(t))\n")
	u.Add(source.Span{File: f, End: len(f.Text)})
	values := map[string]cdecl.Const{}
	for _, name := range u.ConstNames() {
		if strings.HasPrefix(name, "_") && !strings.HasPrefix(name, "_IOC_") || strings.HasPrefix(name, "CONFIG_") || strings.ToLower(name) == name || !wanted(name) {
			continue
		}
		if c, ok := u.Const(name); ok && !c.IsStr {
			values[name] = cdecl.Const{Int: c.Int, Unsigned: c.Unsigned}
		}
	}
	return values, nil
}

// unwanted matches the first letters of names for drivers and devices. Scripts
// do not need them, and there are more of them than of all others.
var unwanted = regexp.MustCompile(`^(KVM_|HV_|HYPERV|MSR_|X86_|VMX_|SVM_|XEN|PCI_|PCIE_|CSR_|MDIO_|ETHTOOL_|SND|INTEL_|PHY_|V4L2_|MEDIA_|` +
	`NL80211|IEEE80211|VIRTIO|NVME|WLAN|DEVLINK|CEC_|ATA_|K_|ZORRO|DRBD|RIO_|TIPC|UART|LLC|RNDIS|IMAGE_|SM501|P4_|IEEE802154|SSC|IFC_|VFIO|` +
	`MII_|NI_|SMC_|ZSTD|DCB_|UVC|HIL_|HID_|SD_|PISP|FB_|ATM_|POWER_|BATADV|NL802154|VMCI|KFD|SEV_|EFI_|AU6601|HWMON|HDMI|HP_|IOMMU|RKISP1|` +
	`MACSEC|SWITCHTEC|DSA_|UAC|ARM_|DPLL|NFC_|IIO_|BTN_|VIDIOC|GFS2|IB_|SADB|CPER|NUBUS|APIC|SONYPI|BCM|OID_|I2O|FFA_|OMAP|NILFS|I2C_|EBT_|` +
	`IPMI|X25|SCMI|DMI_|APM_|FD_|KEY_|NFTA_|USB_|IPSET|IEEE|VERR|OVS_|CPUHP|ARCH_|SSAM|GPIO|DRM|RC_|TCPM|TYPEC|UCSI|HSI_|SERIO|JOY|ABS_|MTD|NAND|` +
	`UBI|RTC_|RFKILL|WIMAX|CAIF|PHONET|ISDN|AX25|ROSE|NETROM|IRDA|VMADDR|PPS_|PTP_|IW_|SIOCIW|CXL|NDCTL|ND_|DMA_|SPI_|PMBUS|REGULATOR|CLK_|OPP_` +
	`|MV64340|SDLA|I2400M|CAPI_|GUEST_|QM_|INTERCEPT_|SFP_|CCP_|GHCB_|HSA_|VIDEO_|PSCI_|DW_|MT_|COUNTER_|MSHV_|DTV_|FE_|AMT_|DMAR_` +
	`|PMT_|CSOR_|SOUND_|ACRN_|S3C|FCNVME|PSP_|COMEDI|SNP_|LED_|MEMSTICK|USBDEVFS|VMMDEV|WM97|LAPB_|S1G_|SGX_|HSMP|LIRC|GPCMD|MALI` +
	`|DMX_|COFF_|DIO_|SFF8024|VME_|EXTCON|TEGRA|MISDN|LAN88XX|NVDIMM|NVM_|AMDKFD|EC_|LM3530|SDEI|CORESIGHT|BSS_|IAX|IDXD|MHI_|UCB_` +
	`|LDO_|OMNIA|PNX8XXX|R3964|LIS3|NTB_|PLDM|MGSL|FDDI|SDVIO|USBTMC|RTIT|VK_|FSL_|STMMAC|NCSI|SDTX|OPAL_|VDE_|AMPLC|MARVELL|QCOM` +
	`|RTSX|SOF_|LP3952|LP3944|S5PV|DDCB|GENWQE|DFL_|FUNCTIONFS|OA_|CFG80211|JS_|PAPR|VPFE|UHID|VIA_|ADI_|IPACK|SCx200|MFGPT|ATMIOC` +
	`|CFM_|CS5536|ENCLOSURE|GMUX|HIDI2C|HIDSPI|I8K|NDTPA|PCIBIOS|APPLE|AVIC|CUDA_|MBI_|PCITEST|RTS52|GPCT|ISST|MSPRO|RAPL|RPROC|SONET` +
	`|SONY|SPMI|SVSM|YAM_|GENI|IWL|IMR_|ISICOM|TIFM|VGA|CCISS|COMPAQ|CSPR|HOST1X|SCIF_|SCOM|ADB_|ATMEL|ATSCMH|CX86|KVP|MATROXFB|PRUSS` +
	`|WAVE|HDLC|TEE_|TPM|LP_|PMU_|MRP_|PARPORT|OSD_|TCMU|DSP_|EDAC|C3_|MCI_|AGP|GAMEPORT|FDC_|VBG_|OLPC|BMA150|TURRIS|PLAT8250|KSZ` +
	`|MICREL|DV3318|SSACD|FRAD|KT_|HVMSG|HVCALL|VMWARE|VMXERR|VMBUS|CHANNELMSG|MCTP|EISA|SERR_|SLIM|W1_` +
	`|QNX|VDPA|VDUSE|HUB_|CARD_|BMSR_|BMCR_|LPA_|SUPPORTED_|ADVERTISED?_|EXPANSION_|I8042|PS2_|AMD64_|EPT_|QI_|IBS_|HPET|MTRR|SCIx` +
	`|BACKLIGHT|CB710|SD[23]0_|SIL_|ETM4?_|CHET_|QAM_|ZATM|MV643XX|MIDI_|SPDIF|AFMT_|AHCI|SMC9|SMSC|Cy|Z2RAM|MEYEIOC|IVTV|DM9000` +
	`|Mgsl|BPP_|FBINFO|FBIO|URB_|MFD_|GADGETFS|ASPEED|VISOR|HAIMR|CFAG|PECI|SSSR|SATA_|PCMCIA|PNP_|TSM_|SDF_|GPMODE|USB3_|AC97` +
	`|CDC_|PWM_|RPMB|RPMSG|SCODE|ICMSGTYPE|DiagStatus|SerialSignal|VSEC_|VSS_|DEBUGCTLMSR|PEBS|LBR_|INVLPGB|CESTATUS|DDR_|TWT_|TRIG_)`)

func wanted(name string) bool { return !unwanted.MatchString(name) }

// shared matches the macros by which the C library and the kernel's headers agree on
// which of them defines something.
var shared = regexp.MustCompile(`\b__UAPI_DEF_\w+`)

var option = regexp.MustCompile(`\bCONFIG_\w+`)

// decided blanks the parts of a header that depend on unknown options, from #if
// (or a similar directive) to #endif.
func decided(text string) string {
	lines := strings.Split(text, "\n")
	var open []int // lines of the enclosing #ifs
	unknown := map[int]bool{}
	for i, l := range lines {
		word, rest, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(l), "#")), " ")
		if !strings.HasPrefix(strings.TrimSpace(l), "#") {
			continue
		}
		switch word {
		case "if", "ifdef", "ifndef":
			open = append(open, i)
		case "elif":
		case "endif":
			if len(open) == 0 {
				continue
			}
			start := open[len(open)-1]
			open = open[:len(open)-1]
			if unknown[start] {
				for n := start; n <= i; n++ {
					lines[n] = ""
				}
			}
			continue
		default:
			continue
		}
		for _, o := range option.FindAllString(rest, -1) {
			if configured[o] == "" && len(open) > 0 {
				unknown[open[len(open)-1]] = true
			}
		}
	}
	return strings.Join(lines, "\n")
}

var function = regexp.MustCompile(`(?m)^#[ \t]*define[ \t]+(\w+)\(([^)]*)\)((?:.*\\\n)*.*)$`)

// collectFunctions records the definitions of functions in a header. The
// kernel's internal headers come after those for programs, and take precedence.
func collectFunctions(text string, t *cdecl.Table) {
	for _, m := range function.FindAllStringSubmatch(text, -1) {
		if name := m[1]; slices.Contains(functions, name) {
			body := strings.Join(strings.Fields(strings.ReplaceAll(m[3], "\\\n", " ")), " ")
			body = strings.NewReplacer("(unsigned int)", "(uint32)", "UL(1)", "1").Replace(body) // the syntax of scripts
			t.Functions[name] = "(" + strings.Join(strings.Fields(m[2]), "") + ") " + body
		}
	}
}
