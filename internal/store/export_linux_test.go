package store

var BlockSize = blockSize
