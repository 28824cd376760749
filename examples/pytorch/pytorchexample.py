# SPDX-License-Identifier: LGPL-3.0-or-later
"""Classify input.jpg with the model in alexnet-pretrained.pt; write the best five classes to result.txt."""
import torch
from PIL import Image
from torchvision import transforms

prepare = transforms.Compose([
    transforms.Resize(256),
    transforms.CenterCrop(224),
    transforms.ToTensor(),
    transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
])

# A whole pickled model, not only weights (PyTorch 2.6 and later must be told): load one only from a source you trust.
model = torch.load("alexnet-pretrained.pt", map_location="cpu", weights_only=False)
model.eval()

with open("classes.txt", encoding="utf-8") as names:
    classes = [line.strip() for line in names if line.strip()]

image = Image.open("input.jpg").convert("RGB")
with torch.no_grad():
    scores = model(prepare(image).unsqueeze(0))[0]
percent = torch.nn.functional.softmax(scores, dim=0) * 100
best = torch.topk(percent, 5)

with open("result.txt", "w", encoding="utf-8") as result:
    for share, index in zip(best.values.tolist(), best.indices.tolist()):
        print(f"{classes[index]}: {share:.4f} %", file=result)
print("Done. The result is in `result.txt`.")
