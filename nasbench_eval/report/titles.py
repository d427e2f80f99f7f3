"""What data sets and splits are called; a benchmark of one's own adds its title."""

DATASETS = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet16_120": "ImageNet16-120",
    "imagenet1k": "ImageNet-1k",
}
SPLITS = {"test": "test accuracy", "val": "validation accuracy"}
