// Command carry builds everything the one binary carries, and packs it where pkg/machine/carried embeds it.
//
//	go run ./hack/carry
//
// What is carried comes from pinned sources only: runc, the containerd shim and the CNI plugins from the Go
// modules in hack/tools, each a module of its own so that its dependencies are the ones its authors tested,
// and not those of this project; pause and the demo web server from hack/images. All are static programs: a
// machine needs no library for them.
//
// Building takes a minute, so it is done only when something it depends on has changed. The archive remembers
// a hash of its inputs; the same inputs mean that there is nothing to do.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"bonsai/hack/images"
	"bonsai/pkg/machine/carried"
)

const target = "pkg/machine/carried/files/carried.tar"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "carry:", err)
		os.Exit(1)
	}
}

func run() error {
	inputs, err := hashInputs()
	if err != nil {
		return err
	}
	if carriedInputs(target) == inputs {
		return nil
	}
	work, err := os.MkdirTemp("", "bonsai-carry-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	var contents []carried.Content
	for _, p := range programs {
		start := time.Now()
		data, err := p.build(work)
		if err != nil {
			return fmt.Errorf("build %s: %w", p.name, err)
		}
		fmt.Printf("carry: %-28s %5.1f MB  %4.1fs\n", p.name, float64(len(data))/1e6, time.Since(start).Seconds())
		contents = append(contents, carried.Content{Name: p.name, Executable: true, Data: data})
	}
	return pack(inputs, contents)
}

// pack turns the programs that are not tools of the node into images, and writes the archive.
func pack(inputs string, contents []carried.Content) error {
	var tools []carried.Content
	programs := map[string][]byte{}
	for _, c := range contents {
		if filepath.Dir(c.Name) == "bin" {
			tools = append(tools, c)
		} else {
			programs[filepath.Base(c.Name)] = c.Data
		}
	}
	var layout bytes.Buffer
	digests, err := images.WriteLayout(&layout,
		images.Pause(programs["pause"]), images.Web(programs["web"], "1"), images.Web(programs["web"], "2"))
	if err != nil {
		return err
	}
	contents = append(tools, carried.Content{Name: carried.Images, Data: layout.Bytes()})
	var archive bytes.Buffer
	if err := carried.Write(&archive, inputs, digests, contents); err != nil {
		return err
	}
	fmt.Printf("carry: %s, %.1f MB\n", target, float64(archive.Len())/1e6)
	return replace(target, archive.Bytes())
}

// replace writes a file so that nobody ever sees half of it.
func replace(file string, data []byte) error {
	next := file + ".next"
	if err := os.WriteFile(next, data, 0o644); err != nil {
		return err
	}
	return os.Rename(next, file)
}

// carriedInputs is what the archive that is there was built from, or nothing.
func carriedInputs(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	archive, err := carried.Read(f)
	if err != nil {
		return ""
	}
	return archive.Inputs
}

// exists is false only if the file is certainly not there.
func exists(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}
