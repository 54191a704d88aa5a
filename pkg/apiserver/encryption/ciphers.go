package encryption

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"

	"golang.org/x/crypto/nacl/secretbox"
)

// sealer encrypts the values of objects; key is the object's key in etcd. stale says that seal would now do it in another way.
type sealer interface {
	seal(ctx context.Context, key string, plain []byte) ([]byte, error)
	open(ctx context.Context, key string, sealed []byte) (plain []byte, stale bool, err error)
}

var (
	errShort     = errors.New("the stored data was shorter than the required size")
	errEncrypted = errors.New("identity transformer tried to read encrypted data")
)

// encryptedPrefix begins every value that is not plain.
const encryptedPrefix = "k8s:enc:"

// identity leaves values as they are.
type identity struct{}

func (identity) seal(_ context.Context, _ string, plain []byte) ([]byte, error) { return plain, nil }

func (identity) open(_ context.Context, _ string, stored []byte) ([]byte, bool, error) {
	if bytes.HasPrefix(stored, []byte(encryptedPrefix)) {
		return nil, false, errEncrypted
	}
	return stored, false, nil
}

// cbc is AES in cipher block chaining: an initialization vector, then the blocks, the last filled up as PKCS #7 says. It proves
// nothing about who wrote the value.
type cbc struct{ block cipher.Block }

func (c cbc) seal(_ context.Context, _ string, plain []byte) ([]byte, error) {
	fill := aes.BlockSize - len(plain)%aes.BlockSize
	out := make([]byte, aes.BlockSize, aes.BlockSize+len(plain)+fill)
	rand.Read(out)
	out = append(append(out, plain...), bytes.Repeat([]byte{byte(fill)}, fill)...)
	cipher.NewCBCEncrypter(c.block, out[:aes.BlockSize]).CryptBlocks(out[aes.BlockSize:], out[aes.BlockSize:])
	return out, nil
}

func (c cbc) open(_ context.Context, _ string, sealed []byte) ([]byte, bool, error) {
	switch {
	case len(sealed) < 2*aes.BlockSize:
		return nil, false, errShort
	case len(sealed)%aes.BlockSize != 0:
		return nil, false, errors.New("the stored data is not a multiple of the block size")
	}
	out := make([]byte, len(sealed)-aes.BlockSize)
	cipher.NewCBCDecrypter(c.block, sealed[:aes.BlockSize]).CryptBlocks(out, sealed[aes.BlockSize:])
	fill := int(out[len(out)-1])
	if fill == 0 || fill > aes.BlockSize || !bytes.Equal(out[len(out)-fill:], bytes.Repeat([]byte{byte(fill)}, fill)) {
		return nil, false, errors.New("invalid padding on input")
	}
	return out[:len(out)-fill], false, nil
}

// gcm is AES in Galois/counter mode: a nonce, then what was encrypted, authenticated together with the object's key.
type gcm struct{ aead cipher.AEAD }

func newGCM(key []byte) (gcm, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return gcm{}, err
	}
	aead, err := cipher.NewGCM(block)
	return gcm{aead}, err
}

func (g gcm) seal(_ context.Context, key string, plain []byte) ([]byte, error) {
	size := g.aead.NonceSize()
	out := make([]byte, size, size+len(plain)+g.aead.Overhead())
	rand.Read(out)
	return g.aead.Seal(out, out, plain, []byte(key)), nil
}

func (g gcm) open(_ context.Context, key string, sealed []byte) ([]byte, bool, error) {
	size := g.aead.NonceSize()
	if len(sealed) < size {
		return nil, false, errShort
	}
	plain, err := g.aead.Open(nil, sealed[:size], sealed[size:], []byte(key))
	return plain, false, err
}

// box is XSalsa20 and Poly1305: a nonce, then the box.
type box struct{ key [32]byte }

const boxNonce = 24

func (b box) seal(_ context.Context, _ string, plain []byte) ([]byte, error) {
	var nonce [boxNonce]byte
	rand.Read(nonce[:])
	return secretbox.Seal(nonce[:], plain, &nonce, &b.key), nil
}

func (b box) open(_ context.Context, _ string, sealed []byte) ([]byte, bool, error) {
	if len(sealed) < boxNonce {
		return nil, false, errShort
	}
	plain, ok := secretbox.Open(nil, sealed[boxNonce:], (*[boxNonce]byte)(sealed), &b.key)
	if !ok {
		return nil, false, errors.New("output array was not large enough for encryption")
	}
	return plain, false, nil
}

// seeded encrypts each value by a key of its own, which follows from the seed and from random bytes that precede the value. So
// the twelve bytes of GCM's nonce never have to be unique among many values.
type seeded struct{ seed []byte }

const (
	seedSize = 32
	saltSize = 32
)

func (s seeded) derived(salt []byte) (gcm, error) {
	key, err := hkdf.Expand(sha256.New, s.seed, string(salt), 32)
	if err != nil {
		return gcm{}, err
	}
	return newGCM(key)
}

func (s seeded) seal(ctx context.Context, key string, plain []byte) ([]byte, error) {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	g, err := s.derived(salt)
	if err != nil {
		return nil, err
	}
	sealed, err := g.seal(ctx, key, plain)
	return append(salt, sealed...), err
}

func (s seeded) open(ctx context.Context, key string, sealed []byte) ([]byte, bool, error) {
	if len(sealed) < saltSize {
		return nil, false, errShort
	}
	g, err := s.derived(sealed[:saltSize])
	if err != nil {
		return nil, false, err
	}
	return g.open(ctx, key, sealed[saltSize:])
}
