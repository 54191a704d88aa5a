// Package carried holds what the one binary brings along for a machine that has nothing: runc, the containerd
// shim, the CNI plugins, and the images of the first lesson.
//
// `go run ./hack/carry` builds them and packs them with Write; the archive is embedded here. It is a plain
// tar file whose members are compressed one by one, so that they can be unpacked in parallel, and whose first
// member, index.json, says what the others are. Nothing is read before it is asked for: embedded data is
// mapped with the executable, and costs memory only where it is touched.
package carried

import (
	"archive/tar"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/klauspost/compress/zstd"
)

//go:embed files
var files embed.FS

const (
	archiveName = "files/carried.tar"
	indexName   = "index.json"
)

// ErrNothing says that this binary was built without `make build`.
var ErrNothing = errors.New("this binary carries no runc, shim, CNI plugins and images: it was built without `make build`")

// Images is the name of the file with the images, an OCI layout in a tar archive.
const Images = "images.tar"

// File is one carried file, described as it is when unpacked.
type File struct {
	Name       string `json:"name"`
	Executable bool   `json:"executable,omitempty"`
	Size       int64  `json:"size"`
	SHA256     string `json:"sha256"`
}

// Index says what an archive holds.
type Index struct {
	// Inputs is a hash over everything the files were built from: the same inputs need no second build.
	Inputs string `json:"inputs"`
	Files  []File `json:"files"`
	// Images maps each name in the images file to the digest of its manifest.
	Images map[string]string `json:"images"`
}

// Archive is a set of carried files.
type Archive struct {
	Index
	data    io.ReaderAt
	members map[string]span
}

// span is where in the archive the compressed bytes of a member are.
type span struct{ offset, size int64 }

// Open opens the archive inside this binary.
func Open() (*Archive, error) {
	f, err := files.Open(archiveName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNothing
	}
	if err != nil {
		return nil, err
	}
	return Read(f.(io.ReaderAt))
}

// Read reads the index of an archive. The files are read when they are opened.
func Read(data io.ReaderAt) (*Archive, error) {
	a := &Archive{data: data, members: map[string]span{}}
	r := io.NewSectionReader(data, 0, 1<<62)
	for tr := tar.NewReader(r); ; {
		header, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read carried archive: %w", err)
		}
		offset, err := r.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		a.members[header.Name] = span{offset, header.Size}
	}
	index := a.members[indexName]
	if err := json.NewDecoder(io.NewSectionReader(data, index.offset, index.size)).Decode(&a.Index); err != nil {
		return nil, fmt.Errorf("read index of carried archive: %w", err)
	}
	return a, nil
}

// Open reads a file's unpacked bytes.
func (a *Archive) Open(name string) (io.ReadCloser, error) {
	m, ok := a.members[packedName(name)]
	if !ok {
		return nil, fmt.Errorf("open carried file %s: %w", name, fs.ErrNotExist)
	}
	// One goroutine per file: whoever wants parallelism opens several files.
	d, err := zstd.NewReader(io.NewSectionReader(a.data, m.offset, m.size), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("open carried file %s: %w", name, err)
	}
	return d.IOReadCloser(), nil
}

func packedName(name string) string { return name + ".zst" }
