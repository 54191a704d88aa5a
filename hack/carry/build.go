package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// A program is one thing to build. Those below bin/ are tools of the node; the others go into images.
type program struct {
	name  string
	build func(work string) ([]byte, error)
}

var programs = []program{
	{"bin/runc", runc},
	{"bin/containerd-shim-runc-v2", goTool("shim", "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", "-tags=no_grpc")},
	{"bin/bridge", cniPlugin("main/bridge")},
	{"bin/host-local", cniPlugin("ipam/host-local")},
	{"bin/portmap", cniPlugin("meta/portmap")},
	{"images/pause", pause},
	{"images/web", func(work string) ([]byte, error) {
		return goBuild(work, ".", "bonsai/hack/images/web", "CGO_ENABLED=0", "-ldflags=-s -w")
	}},
}

// inputs is everything that the result depends on, besides the Go version and the system's C libraries.
var inputs = []string{"hack/tools/runc", "hack/tools/shim", "hack/tools/cni", "hack/images", "hack/carry", "pkg/machine/carried/write.go"}

// hashInputs is the same for two builds that would make the same archive.
func hashInputs() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOARCH)
	for _, root := range inputs {
		err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(file, "_test.go") {
				return err
			}
			data, err := os.ReadFile(file)
			fmt.Fprintf(h, "%s %x\n", file, sha256.Sum256(data))
			return err
		})
		if err != nil {
			return "", fmt.Errorf("%w (carry runs from the root of the repository)", err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// runc is C in its first steps (it enters namespaces before the Go runtime starts), and filters system calls
// through libseccomp; both are linked statically.
func runc(work string) ([]byte, error) {
	if err := needSeccomp(); err != nil {
		return nil, err
	}
	return goBuild(work, "hack/tools/runc", "github.com/opencontainers/runc", "CGO_ENABLED=1",
		"-tags=seccomp,netgo,osusergo", "-ldflags=-s -w -linkmode external -extldflags -static")
}

// needSeccomp says what to install instead of letting the linker complain.
func needSeccomp() error {
	const fix = "apt-get install gcc pkg-config libseccomp-dev"
	for _, tool := range []string{"gcc", "pkg-config"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is missing: %s", tool, fix)
		}
	}
	dir, err := exec.Command("pkg-config", "--variable=libdir", "libseccomp").Output()
	if err != nil {
		return errors.New("libseccomp is missing: " + fix)
	}
	if library := filepath.Join(string(bytes.TrimSpace(dir)), "libseccomp.a"); !exists(library) {
		return fmt.Errorf("the static libseccomp (%s) is missing: %s", library, fix)
	}
	return nil
}

func pause(work string) ([]byte, error) {
	out := filepath.Join(work, "pause")
	return output(exec.Command("gcc", "-static", "-Os", "-s", "-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none",
		"-o", out, "hack/images/pause/pause.c"), out)
}

func cniPlugin(pkg string) func(string) ([]byte, error) {
	return goTool("cni", "github.com/containernetworking/plugins/plugins/"+pkg)
}

// goTool builds a program of the tool module hack/tools/NAME, static and without C.
func goTool(module, pkg string, flags ...string) func(string) ([]byte, error) {
	return func(work string) ([]byte, error) {
		return goBuild(work, filepath.Join("hack/tools", module), pkg, "CGO_ENABLED=0", append(flags, "-ldflags=-s -w")...)
	}
}

func goBuild(work, dir, pkg, env string, flags ...string) ([]byte, error) {
	out := filepath.Join(work, filepath.Base(pkg))
	cmd := exec.Command("go", slices.Concat([]string{"build", "-trimpath", "-buildvcs=false", "-o", out}, flags, []string{pkg})...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env)
	return output(cmd, out)
}

// output runs a build and reads the file it made.
func output(cmd *exec.Cmd, file string) ([]byte, error) {
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, text)
	}
	return os.ReadFile(file)
}
