package node

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Facts are what the machine is and has.
type Facts struct {
	Info     corev1.NodeSystemInfo
	Capacity corev1.ResourceList
}

// Measure reads the facts; dir is on the disk that pods use, runtimeVersion is "containerd://2.4.2".
func Measure(dir string, pods int, runtimeVersion string) (Facts, error) {
	memory, err := memTotal()
	if err != nil {
		return Facts{}, err
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return Facts{}, fmt.Errorf("measure the disk at %s: %w", dir, err)
	}
	var kernel unix.Utsname
	if err := unix.Uname(&kernel); err != nil {
		return Facts{}, err
	}
	return Facts{
		Info: corev1.NodeSystemInfo{
			MachineID:               machineID(),
			SystemUUID:              firstLine("/sys/class/dmi/id/product_uuid", "/etc/machine-id"),
			BootID:                  firstLine("/proc/sys/kernel/random/boot_id"),
			KernelVersion:           unix.ByteSliceToString(kernel.Release[:]),
			OSImage:                 osImage(),
			ContainerRuntimeVersion: runtimeVersion,
			OperatingSystem:         runtime.GOOS,
			Architecture:            runtime.GOARCH,
		},
		Capacity: corev1.ResourceList{
			corev1.ResourceCPU:                   *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI),
			corev1.ResourceMemory:                *resource.NewQuantity(memory, resource.BinarySI),
			corev1.ResourceEphemeralStorage:      *resource.NewQuantity(int64(disk.Blocks)*disk.Bsize, resource.BinarySI),
			corev1.ResourcePods:                  *resource.NewQuantity(int64(pods), resource.DecimalSI),
			corev1.ResourceName("hugepages-1Gi"): *resource.NewQuantity(0, resource.BinarySI),
			corev1.ResourceName("hugepages-2Mi"): *resource.NewQuantity(0, resource.BinarySI),
		},
	}, nil
}

func memTotal() (int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "MemTotal:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/meminfo has no MemTotal")
}

func machineID() string { return firstLine("/etc/machine-id", "/var/lib/dbus/machine-id") }

// firstLine returns that of the first file that has one.
func firstLine(paths ...string) string {
	for _, p := range paths {
		if data, err := os.ReadFile(p); err == nil {
			if line, _, _ := strings.Cut(string(data), "\n"); line != "" {
				return strings.TrimSpace(line)
			}
		}
	}
	return ""
}

// osImage is the distribution's name for itself.
func osImage() string {
	f, err := os.Open("/etc/os-release")
	if err != nil {
		return "Linux"
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "PRETTY_NAME="); ok {
			return strings.Trim(v, `"`)
		}
	}
	return "Linux"
}
