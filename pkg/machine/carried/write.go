package carried

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Content is a file to be carried.
type Content struct {
	Name       string
	Executable bool
	Data       []byte
}

// Write packs files into an archive that Read understands. The same input gives the same bytes.
func Write(w io.Writer, inputs string, images map[string]string, contents []Content) error {
	index := Index{Inputs: inputs, Images: images}
	for _, c := range contents {
		sum := sha256.Sum256(c.Data)
		index.Files = append(index.Files, File{c.Name, c.Executable, int64(len(c.Data)), hex.EncodeToString(sum[:])})
	}
	text, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	if err := writeMember(tw, indexName, text); err != nil {
		return err
	}
	// The best level costs seconds once, when the binary is built; decoding is as fast as at any other.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	defer enc.Close()
	for _, c := range contents {
		if err := writeMember(tw, packedName(c.Name), enc.EncodeAll(c.Data, nil)); err != nil {
			return err
		}
	}
	return tw.Close()
}

func writeMember(tw *tar.Writer, name string, data []byte) error {
	if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
		return fmt.Errorf("write carried archive: %s: %w", name, err)
	}
	if _, err := tw.Write(data); err != nil {
		return fmt.Errorf("write carried archive: %s: %w", name, err)
	}
	return nil
}
