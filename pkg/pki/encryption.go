package pki

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"path/filepath"
)

// encryptionConfig makes, where there is none, the configuration by which the API server encrypts secrets on the disk, with a key of
// its own. What was stored in plain before can still be read, as identity is in the list. A file that is there is left alone, as it
// is the only place where the keys are: who replaces a key adds the new one before it.
func (p *PKI) encryptionConfig(dir string) error {
	p.EncryptionConfig = filepath.Join(dir, "encryption.yaml")
	have, err := readIfThere(p.EncryptionConfig)
	if err != nil || len(have) > 0 {
		return err
	}
	var key [32]byte
	rand.Read(key[:])
	p.Done = append(p.Done, "encryption: made, there was none")
	return writeFile(p.EncryptionConfig, fmt.Appendf(nil, `# How secrets are encrypted in etcd, and the key. Without this file they cannot be read: keep it with every backup.
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox:
      keys:
      - name: key1
        secret: %s
  - identity: {} # reads what was stored before there was a key
`, base64.StdEncoding.EncodeToString(key[:])))
}
